#include "server/serve/store_trouble.h"

#include <string>

#include "semper/base/log.h"

namespace semper::internal {

void StoreTrouble::failed(MonotonicTime now, std::string_view doing, const Error& error) {
  std::string text = std::string(doing) + ": " + error.to_string();
  {
    std::lock_guard lock(mutex_);
    last_ = now;
    auto& failures = kinds_[error.kind()];
    ++failures.count;
    if (failures.count > 1 && now < failures.remind_at) return;
    failures.remind_at = now + kTroubleReminder;
    if (failures.count > 1) {
      text += " (failure " + std::to_string(failures.count) + " of this kind)";
    }
  }
  log_warning("server", text);
}

void StoreTrouble::succeeded(MonotonicTime now) {
  std::uint64_t failures = 0;
  {
    std::lock_guard lock(mutex_);
    if (kinds_.empty() || now - last_ < kTroubleQuiet) return;
    for (const auto& [kind, of_it] : kinds_) failures += of_it.count;
    kinds_.clear();
  }
  log_info("server", "the store answers again, after " + std::to_string(failures) + " failures");
}

}  // namespace semper::internal
