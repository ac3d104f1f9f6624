#include "semper/ring/ring.h"

#include <utility>

#include "ring/contained.h"
#include "ring/format.h"
#include "ring/reader.h"
#include "semper/base/internal/mutant.h"
#include "semper/env/cancellation.h"

namespace semper::ring {
namespace {

SideInfo side_info(const internal::Pointer& pointer, std::string text) {
  SideInfo info;
  info.position = Position::from_offset(pointer.position);
  info.suspend = pointer.flag;
  info.attached = pointer.attached;
  info.epoch = pointer.epoch;
  info.pid = pointer.process.pid;
  info.process = state_of(pointer.process);
  info.text = std::move(text);
  return info;
}

Async<Info> look_at(BlockDevice& device, std::uint32_t sector_size) {
  const auto opened = co_await internal::open_format(device, sector_size);
  if (!opened) co_return fail(co_await internal::say_what_is_there(device, opened.error()));
  const auto& format = *opened;
  SEMPER_CO_TRY(const internal::Standing standing, co_await internal::read_standing(*format));
  SEMPER_CO_TRY(std::string consumer_text, co_await format->side_text(internal::Side::consumer));
  SEMPER_CO_TRY(std::string producer_text, co_await format->side_text(internal::Side::producer));
  Info info;
  info.format = format->id();
  info.sector_size = format->sector_size();
  info.device_bytes = device.size();
  info.data_start = format->geometry().data_start;
  info.capacity = format->geometry().capacity;
  info.identity = format->identity();
  info.producer = side_info(standing.producer, std::move(producer_text));
  info.consumer = side_info(standing.consumer, std::move(consumer_text));
  info.exposed = Position::from_offset(standing.recovered.exposed);
  co_return info;
}

Async<Position> visit_all(BlockDevice& device, std::function<Status(const ItemView&)> visit,
                          std::function<Status(const Damage&)> damaged, AttachOptions options) {
  SEMPER_CO_TRY(const auto format, co_await internal::open_format(device, options.sector_size));
  SEMPER_CO_TRY(const internal::Standing standing, co_await internal::read_standing(*format));
  const internal::Recovered& recovered = standing.recovered;
  std::uint64_t position = standing.consumer.position;
  SEMPER_CO_TRY_STATUS(internal::check_positions(*format, position, recovered.exposed));
  internal::Reader reader(format, options.memory_bytes / 2, internal::ReadAhead::no);
  std::uint64_t reads = 0;
  while (position < recovered.exposed) {
    const auto record = co_await reader.at(position, recovered.exposed);
    // Where both sides are at work, the place may have been written over before it was read: then
    // the consumer has passed it.
    const bool is_new = !record || std::exchange(reads, reader.reads()) != reader.reads();
    if (is_new && !SEMPER_MUTANT("ring_items_that_were_passed_are_damaged")) {
      SEMPER_CO_TRY(const internal::Pointer consumer,
                    co_await format->read_pointer(internal::Side::consumer));
      if (consumer.position > position) {
        position = consumer.position;
        continue;
      }
    }
    if (!record) co_return fail(record.error());
    const internal::Parsed parsed = internal::start_of(standing.producer).check(position, *record);
    if (parsed.kind == internal::Parsed::Kind::item) {
      const ItemView item{Position::from_offset(position), Position::from_offset(parsed.after),
                          parsed.payload};
      SEMPER_CO_TRY_STATUS(visit(item));
      position = parsed.after;
      continue;
    }
    SEMPER_CO_TRY(const std::uint64_t valid,
                  co_await reader.search(position + 1, recovered.exposed));
    const Damage damage{Position::from_offset(position), Position::from_offset(valid),
                        reader.describe(position, parsed.why)};
    SEMPER_CO_TRY_STATUS(damaged(damage));
    position = valid;
  }
  co_return Position::from_offset(position);
}

}  // namespace

Async<Info> inspect(BlockDevice& device, std::uint32_t sector_size) {
  return run_through(internal::contained(look_at(device, sector_size)));
}
Async<Position> read_all(BlockDevice& device, std::function<Status(const ItemView&)> visit,
                         std::function<Status(const Damage&)> damaged, AttachOptions options) {
  return run_through(internal::contained(
      visit_all(device, std::move(visit), std::move(damaged), std::move(options))));
}

}  // namespace semper::ring
