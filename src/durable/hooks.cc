#include "semper/durable/internal/hooks.h"

#include <exception>

#include "semper/base/internal/thrown.h"
#include "semper/base/log.h"

namespace semper::internal {

void log_thrown(const std::string& hook) noexcept {
  try {
    throw;
  } catch (const std::exception& thrown) {
    log_warning("durable", hook + " threw: " + internal::text_of(thrown));
  } catch (...) {
    log_warning("durable", hook + " threw something that is no std::exception");
  }
}

bool says_yes(const std::function<bool(const Error&)>& hook, const Error& error,
              const std::string& what, IfThrown if_thrown) noexcept {
  try {
    return hook(error);
  } catch (...) {
    log_thrown(what);
    return if_thrown == IfThrown::yes;
  }
}

bool says_permanent(const std::function<bool(const Error&)>& is_permanent, const Error& error,
                    const std::string& name) noexcept {
  return is_permanent && says_yes(is_permanent, error, name + ": is_permanent", IfThrown::no);
}

}  // namespace semper::internal
