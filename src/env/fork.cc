#include "semper/env/fork.h"

#include <pthread.h>

#include <atomic>
#include <string>

namespace semper {
namespace {

std::atomic<std::uint64_t> generation{0};

}  // namespace

std::uint64_t fork_generation() noexcept {
  static const int installed =
      pthread_atfork(nullptr, nullptr, [] { generation.fetch_add(1, std::memory_order_relaxed); });
  static_cast<void>(installed);
  return generation.load(std::memory_order_relaxed);
}

Status ForkGuard::check(std::string_view what) const {
  if (!is_foreign()) return {};
  return fail(
      ErrorKind::unsupported,
      std::string(what) + " was opened before the process forked; open it again in the child");
}

}  // namespace semper
