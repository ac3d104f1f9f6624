#include "ring/neighbours.h"

#include <pthread.h>

#include <mutex>
#include <set>
#include <utility>

namespace semper::ring::internal {
namespace {

struct LiveMarks {
  std::mutex mutex;
  std::multiset<std::pair<std::uint64_t, Side>> marks;
};

LiveMarks& live_marks() {
  static auto* const the_one = new LiveMarks();
  return *the_one;
}

// Held over a fork, which another thread's attach must not leave locked in the child. The marks are
// of the parent's handles.
[[gnu::constructor(102)]] void prepare_for_forks() {
  static_cast<void>(pthread_atfork([] { live_marks().mutex.lock(); },
                                   [] { live_marks().mutex.unlock(); },
                                   [] {
                                     live_marks().marks.clear();
                                     live_marks().mutex.unlock();
                                   }));
}

}  // namespace

std::uint64_t memory_number(DeviceCompanion* companion, Random& random) {
  if (companion == nullptr) return 0;
  auto& word = companion->word(kMemoryWord);
  std::uint64_t there = word.load();
  if (there != 0) return there;
  const std::uint64_t drawn = random.next() | 1;
  return word.compare_exchange_strong(there, drawn) ? drawn : there;
}

LiveMark::LiveMark(std::uint64_t memory, Side side) : memory_(memory), side_(side) {
  if (memory_ == 0) return;
  std::lock_guard lock(live_marks().mutex);
  live_marks().marks.emplace(memory_, side_);
}

LiveMark& LiveMark::operator=(LiveMark&& other) noexcept {
  std::swap(memory_, other.memory_);
  std::swap(side_, other.side_);
  return *this;
}

LiveMark::~LiveMark() {
  if (memory_ == 0) return;
  std::lock_guard lock(live_marks().mutex);
  const auto found = live_marks().marks.find({memory_, side_});
  if (found != live_marks().marks.end()) live_marks().marks.erase(found);
}

bool LiveMark::exists(std::uint64_t memory, Side side) {
  std::lock_guard lock(live_marks().mutex);
  return live_marks().marks.contains({memory, side});
}

}  // namespace semper::ring::internal
