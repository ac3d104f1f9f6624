#include "semper/ring/ring.h"

#include <algorithm>
#include <utility>

#include "ring/attachment.h"
#include "ring/reader.h"
#include "semper/env/cancellation.h"

namespace semper::ring {
namespace {

// What create() looks at before it writes: past the places where file systems and partition tables
// have their marks.
constexpr std::size_t kBlankBytes = 4096;

bool all_zero(BytesView bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char byte) { return byte == 0; });
}

// What an interrupted creation of a mirage-1.0 ring leaves: fresh pointers without the mark.
bool is_half_made(BytesView bytes, std::size_t sector_size) {
  Bytes fresh(sector_size, '\0');
  fresh[8] = 2;
  for (std::size_t sector = 0; sector * sector_size < bytes.size(); ++sector) {
    const BytesView there = bytes.substr(sector * sector_size, sector_size);
    const bool may_be_fresh = sector == 1 || sector == 2;
    if (!all_zero(there) && !(may_be_fresh && there == BytesView(fresh).substr(0, there.size()))) {
      return false;
    }
  }
  return true;
}

SideInfo side_info(const internal::Pointer& pointer, std::string text) {
  SideInfo info;
  info.position = Position::from_offset(pointer.position);
  info.suspend = pointer.flag;
  info.attached = pointer.attached;
  info.epoch = pointer.epoch;
  info.text = std::move(text);
  return info;
}

Async<bool> look_if_blank(BlockDevice& device) {
  const std::uint64_t size = std::min<std::uint64_t>(device.size(), kBlankBytes);
  AlignedBuffer head(static_cast<std::size_t>(size));
  ReadParts parts{head.span()};
  SEMPER_CO_TRY_STATUS(co_await device.read(0, std::move(parts)));
  co_return is_half_made(head.view(), device.sector_size());
}

Async<void> make_ring(BlockDevice& device, CreateOptions options) {
  if (device.is_read_only()) {
    co_return fail(ErrorKind::permission, std::string(device.name()) + " is open for reading only");
  }
  const auto there = co_await internal::open_format(device, options.sector_size);
  const bool is_ring = there || there.error().kind() != ErrorKind::not_found;
  if (there && (*there)->id() != options.format) {
    co_return fail(ErrorKind::already_exists, std::string(device.name()) +
                                                  " holds a ring of the format " +
                                                  std::string(to_string((*there)->id())));
  }
  if (!there && is_ring) co_return fail(there.error());
  if (!is_ring && options.overwrite == Overwrite::blank_only && device.size() > 0) {
    SEMPER_CO_TRY(const bool blank, co_await look_if_blank(device));
    if (!blank) {
      co_return fail(ErrorKind::permission,
                     std::string(device.name()) +
                         " holds something that is no ring; to lose it, create the ring with "
                         "Overwrite::anything");
    }
  }
  if (options.format == Format::semper_1) {
    co_return co_await internal::create_semper(device, options);
  }
  co_return co_await internal::create_mirage(device, options);
}

Async<Info> look_at(BlockDevice& device, std::uint32_t sector_size) {
  using internal::Side;
  SEMPER_CO_TRY(const auto format, co_await internal::open_format(device, sector_size));
  SEMPER_CO_TRY(const internal::Pointer consumer, co_await format->read_pointer(Side::consumer));
  SEMPER_CO_TRY(const internal::Pointer producer, co_await format->read_pointer(Side::producer));
  SEMPER_CO_TRY(std::string consumer_text, co_await format->side_text(Side::consumer));
  SEMPER_CO_TRY(std::string producer_text, co_await format->side_text(Side::producer));
  SEMPER_CO_TRY(const internal::Recovered recovered, co_await format->recover(producer, consumer));
  Info info;
  info.format = format->id();
  info.sector_size = format->sector_size();
  info.device_bytes = device.size();
  info.data_start = format->geometry().data_start;
  info.capacity = format->geometry().capacity;
  info.identity = format->identity();
  info.producer = side_info(producer, std::move(producer_text));
  info.consumer = side_info(consumer, std::move(consumer_text));
  info.exposed = Position::from_offset(recovered.exposed);
  co_return info;
}

Async<Position> visit_all(BlockDevice& device, std::function<Status(const ItemView&)> visit,
                          std::function<Status(const Damage&)> damaged, AttachOptions options) {
  using internal::Side;
  SEMPER_CO_TRY(const auto format, co_await internal::open_format(device, options.sector_size));
  SEMPER_CO_TRY(const internal::Pointer consumer, co_await format->read_pointer(Side::consumer));
  SEMPER_CO_TRY(const internal::Pointer producer, co_await format->read_pointer(Side::producer));
  SEMPER_CO_TRY(const internal::Recovered recovered, co_await format->recover(producer, consumer));
  SEMPER_CO_TRY_STATUS(internal::check_positions(*format, consumer.position, recovered.exposed));
  internal::Reader reader(format, options.memory_bytes / 2);
  std::uint64_t position = consumer.position;
  while (position < recovered.exposed) {
    SEMPER_CO_TRY(const internal::Parsed parsed, co_await reader.at(position, recovered.exposed));
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

Async<bool> is_blank(BlockDevice& device) {
  return run_through(look_if_blank(device));
}
Async<void> create(BlockDevice& device, CreateOptions options) {
  return run_through(make_ring(device, std::move(options)));
}
Async<Info> inspect(BlockDevice& device, std::uint32_t sector_size) {
  return run_through(look_at(device, sector_size));
}
Async<Position> read_all(BlockDevice& device, std::function<Status(const ItemView&)> visit,
                         std::function<Status(const Damage&)> damaged, AttachOptions options) {
  return run_through(visit_all(device, std::move(visit), std::move(damaged), std::move(options)));
}

}  // namespace semper::ring
