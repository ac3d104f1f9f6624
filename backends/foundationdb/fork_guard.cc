#include "fork_guard.h"

#include <pthread.h>

#include <atomic>

namespace semper::foundationdb {
namespace {

constinit std::atomic<std::uint64_t> generation{0};

// When the program is loaded: while a thread opens the first store, another one may fork.
[[gnu::constructor]] void count_forks() {
  static_cast<void>(
      pthread_atfork(nullptr, nullptr, [] { generation.fetch_add(1, std::memory_order_relaxed); }));
}

}  // namespace

std::uint64_t fork_generation() noexcept {
  return generation.load(std::memory_order_relaxed);
}

Status ForkGuard::check() const {
  if (!is_foreign()) return {};
  return fail(
      ErrorKind::unsupported,
      "FoundationDB's client was started before this process forked, and cannot be used in "
      "the child; open the store after the fork, or let the child exec a program that does");
}

}  // namespace semper::foundationdb
