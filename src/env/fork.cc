#include "semper/env/fork.h"

#include <pthread.h>

#include <atomic>
#include <string>

namespace semper {
namespace {

constinit std::atomic<std::uint64_t> generation{0};

// When the program is loaded, and before the other rooms do so: what they do in a child then finds
// the child's number.
[[gnu::constructor(102)]] void count_forks() {
  static_cast<void>(
      pthread_atfork(nullptr, nullptr, [] { generation.fetch_add(1, std::memory_order_relaxed); }));
}

}  // namespace

std::uint64_t fork_generation() noexcept {
  return generation.load(std::memory_order_relaxed);
}

Status ForkGuard::check(std::string_view what) const {
  if (!is_foreign()) return {};
  return fail(
      ErrorKind::unsupported,
      std::string(what) + " was opened before the process forked; open it again in the child");
}

}  // namespace semper
