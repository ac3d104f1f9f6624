#include "fork_guard.h"

#include <pthread.h>
#include <unistd.h>

#include <array>
#include <atomic>

namespace semper::sqlite {
namespace {

std::atomic<std::uint64_t> generation{0};

// Slots hold a descriptor plus one, so that zero is free. Only atomics: the child of a process with
// threads may not lock anything.
std::array<std::atomic<int>, kCloseInChildMaximum> descriptors;

void in_child() {
  generation.fetch_add(1, std::memory_order_relaxed);
  for (auto& slot : descriptors) {
    const int descriptor = slot.exchange(0, std::memory_order_relaxed) - 1;
    if (descriptor >= 0) ::close(descriptor);
  }
}

void install_once() {
  static const int installed = pthread_atfork(nullptr, nullptr, in_child);
  static_cast<void>(installed);
}

}  // namespace

std::uint64_t fork_generation() noexcept {
  return generation.load(std::memory_order_relaxed);
}

bool close_in_child(int descriptor) {
  install_once();
  for (auto& slot : descriptors) {
    int expected = 0;
    if (slot.compare_exchange_strong(expected, descriptor + 1)) return true;
  }
  return false;
}

void forget_descriptor(int descriptor) {
  for (auto& slot : descriptors) {
    int expected = descriptor + 1;
    if (slot.compare_exchange_strong(expected, 0)) return;
  }
}

Status ForkGuard::check() const {
  if (!is_foreign()) return {};
  return fail(ErrorKind::unsupported,
              "this store was opened before the process forked; the child must open it again");
}

}  // namespace semper::sqlite
