// The format mirage-1.0, that of the OCaml library shared-block-ring; see
// docs/ring-format-mirage-1.0.md. Nothing in it is checked, so nothing in it is believed.
#include <algorithm>
#include <cstring>
#include <utility>

#include "ring/mirage_encoder.h"
#include "ring/record.h"
#include "semper/base/assert.h"

namespace semper::ring::internal {
namespace {

constexpr BytesView kMagic = "mirage shared-block-device 1.0";
constexpr std::uint64_t kMinSectors = 4;
constexpr std::size_t kFlagAt = 8;
constexpr char kFlagTrue = 1;
constexpr char kFlagFalse = 2;
constexpr std::size_t kTextAt = 128;
constexpr std::size_t kTextBytes = 384;

std::uint64_t side_place(Side side, std::uint32_t sector_size) {
  return (1 + static_cast<std::uint64_t>(side)) * sector_size;
}

void store_side(const Pointer& pointer, std::span<std::byte> sector) {
  char* const out = reinterpret_cast<char*>(sector.data());
  std::memset(out, 0, sector.size());
  store_u64(out, pointer.position);
  out[kFlagAt] = pointer.flag ? kFlagTrue : kFlagFalse;
  const auto name = [](const std::string& given) { return given.empty() ? "unknown" : given; };
  std::string text = name(pointer.queue) + " used by " + name(pointer.client) + "; " +
                     std::string(to_string(pointer.side)) + " = " +
                     std::to_string(pointer.position) + "; " +
                     (pointer.side == Side::producer ? "suspend_ack" : "suspend") + " = " +
                     (pointer.flag ? "true" : "false");
  std::memcpy(out + kTextAt, text.data(), std::min(text.size(), kTextBytes));
}

class MirageFormat final : public FormatOnDevice {
 public:
  MirageFormat(BlockDevice& device, std::uint32_t sector_size)
      : FormatOnDevice(device,
                       Geometry{std::uint64_t{3} * sector_size,
                                (device.size() / sector_size - 3) * sector_size, sector_size}),
        sector_size_(sector_size) {}

  Format id() const noexcept override { return Format::mirage_1_0; }
  std::string identity() const override { return ""; }
  std::uint64_t identity_word() const noexcept override { return 2; }
  std::uint32_t sector_size() const noexcept override { return sector_size_; }
  bool records_publish() const noexcept override { return false; }

  Async<Pointer> read_pointer(Side side) override;
  Async<void> write_pointer(Pointer& pointer, Flush flush) override;
  Async<std::string> side_text(Side side) override;
  Async<void> claim(Pointer&, Flush) override { co_return Result<void>(); }
  Async<Recovered> recover(const Pointer& producer, const Pointer& consumer) override;
  Async<Recovered> tail(const Pointer& producer, std::uint64_t from) override;
  Parsed parse(BytesView bytes, std::uint64_t position, std::uint64_t limit) const override;
  // Nothing tells a record from other bytes.
  std::uint64_t record_step() const noexcept override { return 0; }
  std::uint64_t max_item_bytes(std::size_t buffer_bytes) const noexcept override;
  std::unique_ptr<Encoder> encoder(std::uint64_t position, std::uint32_t epoch,
                                   std::size_t buffer_bytes) override;

 private:
  std::uint32_t sector_size_;
};

Async<Pointer> MirageFormat::read_pointer(Side side) {
  AlignedBuffer sector(sector_size_);
  ReadParts parts{sector.span()};
  SEMPER_CO_TRY_STATUS(co_await device().read(side_place(side, sector_size_), std::move(parts)));
  Pointer pointer;
  pointer.side = side;
  pointer.position = load_u64(sector.view().data());
  pointer.flag = sector.view()[kFlagAt] == kFlagTrue;
  co_return pointer;
}

Async<void> MirageFormat::write_pointer(Pointer& pointer, Flush flush) {
  AlignedBuffer sector(sector_size_);
  store_side(pointer, sector.span());
  WriteParts parts{std::as_const(sector).span()};
  const std::uint64_t place = side_place(pointer.side, sector_size_);
  if (flush == Flush::never) co_return co_await device().write(place, std::move(parts));
  co_return co_await device().write_and_flush(place, std::move(parts));
}

Async<std::string> MirageFormat::side_text(Side side) {
  AlignedBuffer sector(sector_size_);
  ReadParts parts{sector.span()};
  SEMPER_CO_TRY_STATUS(co_await device().read(side_place(side, sector_size_), std::move(parts)));
  const BytesView text = sector.view().substr(kTextAt, kTextBytes);
  co_return std::string(text.substr(0, text.find('\0')));
}

// The pointer says it all.
Async<Recovered> MirageFormat::tail(const Pointer& producer, std::uint64_t from) {
  Recovered recovered;
  recovered.exposed = std::max(producer.position, from);
  co_return recovered;
}

Async<Recovered> MirageFormat::recover(const Pointer& producer, const Pointer& consumer) {
  if (producer.position % 4 != 0 || consumer.position % 4 != 0 ||
      std::max(producer.position, consumer.position) > kMaxPosition) {
    co_return fail(ErrorKind::corrupt, std::string(device().name()) +
                                           ": a stored position is not where an item can be");
  }
  SEMPER_CO_TRY_STATUS(check_positions(*this, consumer.position, producer.position));
  Recovered recovered;
  recovered.exposed = producer.position;
  co_return recovered;
}

Parsed MirageFormat::parse(BytesView bytes, std::uint64_t position, std::uint64_t limit) const {
  Parsed parsed;
  if (position % 4 != 0 || limit - position < kMirageLengthBytes) {
    parsed.why = "no item can begin there";
    return parsed;
  }
  if (bytes.size() < kMirageLengthBytes) {
    parsed.kind = Parsed::Kind::more;
    parsed.need = kMirageLengthBytes;
    return parsed;
  }
  const std::uint64_t length = load_u32(bytes.data());
  if (mirage_record_bytes(length) > limit - position) {
    parsed.why = "the item's length reaches beyond what was produced";
    return parsed;
  }
  if (bytes.size() < kMirageLengthBytes + length) {
    parsed.kind = Parsed::Kind::more;
    parsed.need = mirage_record_bytes(length);
    return parsed;
  }
  parsed.kind = Parsed::Kind::item;
  parsed.payload = bytes.substr(kMirageLengthBytes, static_cast<std::size_t>(length));
  parsed.after = position + mirage_record_bytes(length);
  return parsed;
}

std::uint64_t MirageFormat::max_item_bytes(std::size_t buffer_bytes) const noexcept {
  const std::uint64_t buffer = round_down(buffer_bytes, sector_size_);
  const std::uint64_t most =
      geometry().capacity <= buffer ? geometry().capacity : buffer - 2 * sector_size_;
  return most - kMirageLengthBytes;
}

std::unique_ptr<Encoder> MirageFormat::encoder(std::uint64_t position, std::uint32_t,
                                               std::size_t buffer_bytes) {
  return std::make_unique<MirageEncoder>(io_, position, buffer_bytes);
}

// The size that was asked for, or the device's own. Error: invalid_argument.
Result<std::uint32_t> choose_sector_size(const BlockDevice& device, std::uint32_t asked) {
  const std::uint32_t chosen = asked == 0 ? device.sector_size() : asked;
  if (chosen % device.sector_size() != 0 || chosen < 512 || chosen > 65536 ||
      (chosen & (chosen - 1)) != 0) {
    return fail(ErrorKind::invalid_argument,
                std::string(device.name()) + ": sectors of " + std::to_string(chosen) +
                    " bytes are impossible on a device of " + std::to_string(device.sector_size()) +
                    "-byte sectors");
  }
  return chosen;
}

Async<bool> has_magic(BlockDevice& device, std::uint32_t sector_size) {
  AlignedBuffer sector(sector_size);
  if (device.size() < sector_size) co_return false;
  ReadParts parts{sector.span()};
  SEMPER_CO_TRY_STATUS(co_await device.read(0, std::move(parts)));
  co_return sector.view().substr(0, kMagic.size()) == kMagic;
}

}  // namespace

Async<std::shared_ptr<FormatOnDevice>> open_mirage(BlockDevice& device, std::uint32_t sector_size) {
  std::shared_ptr<FormatOnDevice> format;
  SEMPER_CO_TRY(const bool is_ring, co_await has_magic(device, device.sector_size()));
  if (!is_ring) co_return format;
  SEMPER_CO_TRY(const std::uint32_t chosen, choose_sector_size(device, sector_size));
  if (device.size() / chosen < kMinSectors) {
    co_return fail(ErrorKind::corrupt, std::string(device.name()) +
                                           ": marked as a ring, but smaller than the least one");
  }
  format = std::make_shared<MirageFormat>(device, chosen);
  co_return format;
}

Async<void> create_mirage(BlockDevice& device, const CreateOptions& options) {
  SEMPER_CO_TRY(const std::uint32_t sector_size, choose_sector_size(device, options.sector_size));
  if (device.size() / sector_size < kMinSectors) {
    co_return fail(ErrorKind::invalid_argument, std::string(device.name()) +
                                                    ": too small for a ring; the least is " +
                                                    std::to_string(kMinSectors) + " sectors");
  }
  SEMPER_CO_TRY(const bool is_ring, co_await has_magic(device, device.sector_size()));
  if (is_ring) co_return Result<void>();
  AlignedBuffer sector(sector_size);
  for (const Side side : {Side::producer, Side::consumer}) {
    std::memset(sector.data(), 0, sector.size());
    sector.span()[kFlagAt] = static_cast<std::byte>(kFlagFalse);
    WriteParts parts{std::as_const(sector).span()};
    SEMPER_CO_TRY_STATUS(co_await device.write(side_place(side, sector_size), std::move(parts)));
  }
  SEMPER_CO_TRY_STATUS(co_await device.flush());
  std::memset(sector.data(), 0, sector.size());
  std::memcpy(sector.data(), kMagic.data(), kMagic.size());
  WriteParts parts{std::as_const(sector).span()};
  co_return co_await device.write_and_flush(0, std::move(parts));
}

}  // namespace semper::ring::internal
