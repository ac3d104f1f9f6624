#include "fork_guard.h"

#include <pthread.h>

#include <atomic>

namespace semper::foundationdb {
namespace {

std::atomic<std::uint64_t> generation{0};

void in_child() {
  generation.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

std::uint64_t fork_generation() noexcept {
  static const int installed = pthread_atfork(nullptr, nullptr, in_child);
  static_cast<void>(installed);
  return generation.load(std::memory_order_relaxed);
}

Status ForkGuard::check() const {
  if (!is_foreign()) return {};
  return fail(
      ErrorKind::unsupported,
      "FoundationDB's client was started before this process forked, and can not be used in "
      "the child; open the store after the fork, or let the child exec a program that does");
}

}  // namespace semper::foundationdb
