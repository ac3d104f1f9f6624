#include "lessons.h"

#include <optional>
#include <utility>

namespace guide {

semper::Async<void> make_ring(std::string path) {
  semper::CreateFileOptions file;
  file.size = 16 << 20;
  SEMPER_CO_TRY_STATUS(semper::create_block_file(path, file));

  SEMPER_CO_TRY(auto device, semper::open_block_device(path));
  const ring::CreateOptions as_usual;
  SEMPER_CO_TRY_STATUS(co_await ring::create(*device, as_usual));
  co_return semper::Status{};
}

semper::Async<ring::Position> record(semper::BlockDevice& device,
                                     std::vector<semper::Bytes> readings) {
  ring::AttachOptions options;
  options.client = "meter 7";
  SEMPER_CO_TRY(auto producer, co_await ring::Producer::attach(device, options));

  const auto deadline = semper::system_clock().after(std::chrono::seconds(5));
  SEMPER_CO_TRY(const ring::Position end, co_await producer.publish(readings, deadline));

  SEMPER_CO_TRY_STATUS(co_await producer.detach());
  co_return end;
}

semper::Async<void> record_in_two_steps(semper::BlockDevice& device, std::string reading) {
  const ring::AttachOptions options;
  SEMPER_CO_TRY(auto producer, co_await ring::Producer::attach(device, options));

  SEMPER_CO_TRY(const ring::Position end, co_await producer.push(reading));  // durable, not visible
  SEMPER_CO_TRY_STATUS(co_await producer.advance(end));                      // visible

  co_return co_await producer.detach();
}

semper::Async<std::uint64_t> forward(semper::BlockDevice& device, Send send) {
  const ring::AttachOptions options;
  SEMPER_CO_TRY(auto consumer, co_await ring::Consumer::attach(device, options));

  std::uint64_t sent = 0;
  for (;;) {
    const auto item = co_await consumer.pop();
    if (!item && item.error().kind() == semper::ErrorKind::retry) break;  // empty
    if (!item) co_return semper::fail(item.error());
    SEMPER_CO_TRY_STATUS(send(item->bytes));
    SEMPER_CO_TRY_STATUS(co_await consumer.advance(item->after));  // removed, durably
    ++sent;
  }

  SEMPER_CO_TRY_STATUS(co_await consumer.detach());
  co_return sent;
}

semper::Async<void> pause(ring::Consumer& consumer) {
  SEMPER_CO_TRY_STATUS(co_await consumer.suspend());
  for (;;) {
    SEMPER_CO_TRY(const ring::State state, co_await consumer.state());
    if (state == ring::State::suspended) co_return semper::Status{};
    SEMPER_CO_TRY_STATUS(
        co_await semper::sleep_for(semper::system_clock(), std::chrono::milliseconds(10)));
  }
}

semper::Async<void> journal_and_send(semper::BlockDevice& device, std::vector<std::string> readings,
                                     Send send) {
  auto perform = [&](const std::vector<ring::Item>& batch) -> semper::Async<void> {
    for (const ring::Item& item : batch) SEMPER_CO_TRY_STATUS(send(item.bytes));
    co_return semper::Status{};
  };
  ring::JournalOptions options;
  options.retry_interval = std::chrono::milliseconds(100);
  SEMPER_CO_TRY(auto journal, co_await ring::Journal::start(device, perform, options));

  for (const std::string& reading : readings) {
    SEMPER_CO_TRY(const auto written, co_await journal.push(reading));  // durable from here on
    if (&reading == &readings.back()) {
      SEMPER_CO_TRY_STATUS(co_await written.sync());  // performed, and all before it
    }
  }
  co_return co_await journal.shutdown();
}

semper::Async<std::vector<std::string>> rescue(semper::BlockDevice& device,
                                               std::uint64_t& damaged) {
  const ring::AttachOptions options;
  SEMPER_CO_TRY(auto consumer, co_await ring::Consumer::attach(device, options));

  std::vector<std::string> readings;
  ring::Position at = consumer.consumed();
  for (;;) {
    const auto item = co_await consumer.pop(at);
    if (item) {
      readings.push_back(item->bytes);
      at = item->after;
    } else if (item.error().kind() == semper::ErrorKind::corrupt) {
      SEMPER_CO_TRY(at, co_await consumer.resync(at));  // the next record that is whole
      ++damaged;
    } else if (item.error().kind() == semper::ErrorKind::retry) {
      break;  // the end
    } else {
      co_return semper::fail(item.error());
    }
  }
  SEMPER_CO_TRY_STATUS(co_await consumer.advance(at));  // removes the damage too

  SEMPER_CO_TRY_STATUS(co_await consumer.detach());
  co_return readings;
}

semper::Async<void> count_exactly_once(semper::BlockDevice& device, std::string store_url,
                                       std::vector<std::int64_t> readings) {
  auto open = [store_url] { return semper::open_store(store_url); };
  const ring::JournalOptions options;
  SEMPER_CO_TRY(auto drain, co_await semper::JournalDrain::start(device, open, options));

  for (const std::int64_t watt_hours : readings) {
    const Meter::Reading reading{watt_hours};
    SEMPER_CO_TRY_STATUS(co_await drain.cast<Meter>("house 12", reading));  // durable, on this disk
  }
  co_return co_await drain.shutdown();
}

}  // namespace guide
