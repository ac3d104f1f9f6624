// Any bytes as a journal, and as what a drain finds in one: starting it neither crashes nor hangs,
// what is performed lies in order, and what is pushed is performed where nothing unreadable lies
// before it.
//
// An input is an image of a disk, or, after a first octet of 'i', pieces that become a good ring's
// items.
#include <algorithm>
#include <string>

#include "fuzz/fuzz.h"
#include "semper/base/assert.h"
#include "semper/base/log.h"
#include "semper/block/memory_block_device.h"
#include "semper/env/random.h"
#include "semper/journal_drain.h"
#include "semper/memory/memory.h"
#include "semper/ring/ring.h"
#include "semper/testing/simulated_clock.h"
#include "semper/testing/simulated_run.h"

namespace semper::fuzz {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kImageMaximum = std::size_t{256} << 10;
constexpr std::size_t kDiskBytes = std::size_t{24} << 12;
constexpr char kItems = 'i';

struct Place {
  semper::testing::SimulatedClock clock;
  SeededRandom random{1};
  MemoryDisk disk;

  explicit Place(std::size_t bytes) : disk({.size = bytes, .sector_size = 512}) {}
  Env env() { return {&clock, &random}; }
  ring::JournalOptions options() {
    ring::JournalOptions made;
    made.ring.env = env();
    made.ring.take_over = ring::TakeOver::yes;
    made.ring.memory_bytes = std::size_t{128} << 10;
    return made;
  }
  template <class T>
  T run(Task<T> task) {
    return semper::testing::simulated_run(clock, std::move(task));
  }
};

Async<void> use_journal(Place& place, BlockDevice& device) {
  std::uint64_t last = 0;
  bool pushed_was_performed = false;
  const auto perform = [&](const std::vector<ring::Item>& batch) -> Async<void> {
    for (const auto& item : batch) {
      SEMPER_ASSERT(item.after.offset() > last, "items are performed in order");
      last = item.after.offset();
      pushed_was_performed = pushed_was_performed || item.bytes == "pushed";
    }
    co_return Status{};
  };
  SEMPER_CO_TRY(auto journal, co_await ring::Journal::start(device, perform, place.options()));
  const Status replayed = co_await journal.replayed(place.clock.after(1min));
  const auto written = co_await journal.push("pushed", place.clock.after(1min));
  if (replayed && written) {
    const Status done = co_await written->sync(place.clock.after(1min));
    SEMPER_ASSERT(!done || pushed_was_performed, "what is said to be performed is");
    SEMPER_ASSERT(done.has_value(), "behind what can be read nothing stands still");
  }
  static_cast<void>(co_await journal.shutdown(place.clock.after(1min)));
  co_return Status{};
}

Async<void> use_drain(Place& place, BlockDevice& device) {
  StoreUrl url;
  url.scheme = "memory";
  const Env env = place.env();
  SEMPER_CO_TRY(const auto backend, co_await open_memory(url, env));
  const Store store(backend, env);
  const auto open = [&]() -> Async<Store> { co_return store; };
  auto drain = co_await JournalDrain::start(device, open, place.options());
  if (drain) {
    static_cast<void>(co_await drain->replayed(place.clock.after(1min)));
    static_cast<void>(co_await drain->shutdown(place.clock.after(1min)));
  }
  co_return co_await backend->close();
}

Async<void> fill(Place& place, BlockDevice& device, BytesView items) {
  ring::CreateOptions create;
  create.env = place.env();
  SEMPER_CO_TRY_STATUS(co_await ring::create(device, create));
  ring::AttachOptions options = place.options().ring;
  SEMPER_CO_TRY(auto producer, co_await ring::Producer::attach(device, options));
  Parts parts(items);
  while (!parts.at_end()) {
    if (!co_await producer.publish(parts.piece())) break;
  }
  co_return co_await producer.detach();
}

void use(Place& place) {
  const auto device = place.disk.open();
  static_cast<void>(place.run(use_drain(place, *device)));
  static_cast<void>(place.run(use_journal(place, *device)));
}

}  // namespace

std::vector<Bytes> seeds() {
  set_log_level(LogLevel::off);
  std::vector<Bytes> made;
  // [type, id, message name, payload], as 0.1.0 wrote it.
  Bytes cast;
  cbor::Writer writer(cast);
  writer.array(4);
  for (const auto* text : {"Counter", "home", "Add"}) writer.text(text);
  writer.bytes("\x81\x01");
  Bytes items(1, kItems);
  append_piece(items, cast);
  append_piece(items, "");
  append_piece(items, cast);
  made.push_back(items);
  for (const auto format : {ring::Format::semper_1, ring::Format::mirage_1_0}) {
    Place place(kDiskBytes);
    const auto device = place.disk.open();
    const auto push = [&]() -> Async<void> {
      const auto refuse = [](const std::vector<ring::Item>&) -> Async<void> {
        co_return fail(ErrorKind::retry, "not now");
      };
      auto options = place.options();
      options.format = format;
      SEMPER_CO_TRY(auto journal, co_await ring::Journal::start(*device, refuse, options));
      for (int i = 0; i < 5; ++i) SEMPER_CO_TRY_STATUS(co_await journal.push(cast));
      co_return Status{};
    };
    SEMPER_ASSERT(place.run(push()).has_value(), "a journal on a disk in memory");
    made.push_back(place.disk.contents(0, kDiskBytes));
  }
  return made;
}

void check(BytesView input) {
  set_log_level(LogLevel::off);
  if (input.starts_with(kItems)) {
    Place place(kDiskBytes);
    const auto device = place.disk.open();
    static_cast<void>(place.run(fill(place, *device, input.substr(1))));
    return use(place);
  }
  const std::size_t size = std::min(input.size(), kImageMaximum) / 512 * 512;
  if (size == 0) return;
  Place place(size);
  SEMPER_ASSERT(place.disk.overwrite(0, input.substr(0, size)), "a disk in memory takes an image");
  use(place);
}

}  // namespace semper::fuzz
