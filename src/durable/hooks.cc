#include "semper/durable/hooks.h"

#include <exception>

#include "semper/base/log.h"

namespace semper::internal {

void log_thrown(const std::string& hook) noexcept {
  try {
    throw;
  } catch (const std::exception& thrown) {
    log_warning("durable", hook + " threw: " + thrown.what());
  } catch (...) {
    log_warning("durable", hook + " threw something that is no std::exception");
  }
}

bool says_permanent(const std::function<bool(const Error&)>& is_permanent, const Error& error,
                    const std::string& name) noexcept {
  try {
    return is_permanent && is_permanent(error);
  } catch (...) {
    log_thrown(name + ": is_permanent");
    return false;
  }
}

}  // namespace semper::internal
