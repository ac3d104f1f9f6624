// The format mirage-1.0, that of the OCaml library shared-block-ring; see
// docs/ring-format-mirage-1.0.md. Nothing in it is checked, so nothing in it is believed.
#include <algorithm>
#include <cstring>
#include <utility>

#include "ring/mirage_encoder.h"
#include "ring/record.h"
#include "semper/base/assert.h"
#include "semper/ring/ring.h"

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

// What a side's sector says at the end of its text, about its own bytes.
std::string end_of_text(Side side, BytesView sector) {
  return "; " + std::string(to_string(side)) + " = " + std::to_string(load_u64(sector.data())) +
         "; " + (side == Side::producer ? "suspend_ack" : "suspend") + " = " +
         (sector[kFlagAt] == kFlagTrue ? "true" : "false");
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
  Async<void> claim(Pointer& pointer, Flush flush) override;
  Async<void> confirm(Pointer&, Flush) override { co_return Result<void>(); }
  // Items were flushed before the position behind them was written, and claim() writes that again.
  Async<void> settle(Pointer&, const Standing&) override { co_return co_await device().flush(); }
  Async<void> finish_settling() override { co_return Result<void>(); }
  Async<std::vector<HeaderDamage>> check_headers() override;
  Async<Recovered> recover(const Pointer& producer, const Pointer& consumer) override;
  Async<Recovered> tail(const Pointer& producer, std::uint64_t from) override;
  Parsed parse(BytesView bytes, std::uint64_t position, std::uint64_t limit) const override;
  // Nothing tells a record from other bytes.
  std::uint64_t record_step() const noexcept override { return 0; }
  std::uint64_t max_item_bytes(std::size_t buffer_bytes) const noexcept override;
  std::unique_ptr<Encoder> encoder(std::uint64_t position, std::uint32_t epoch,
                                   std::size_t buffer_bytes) override;

 private:
  // The sector as it is, once more: it may be in a cache only, where a flush failed on it.
  Async<void> write_again(Side side, Flush flush);

  std::uint32_t sector_size_;
};

Async<Pointer> MirageFormat::read_pointer(Side side) {
  AlignedBuffer sector(sector_size_);
  ReadParts parts{sector.span()};
  SEMPER_CO_TRY_STATUS(co_await device().read(side_place(side, sector_size_), std::move(parts)));
  Pointer pointer;
  pointer.side = side;
  pointer.position = load_u64(sector.view().data());
  const char flag = sector.view()[kFlagAt];
  if (flag != kFlagTrue && flag != kFlagFalse) {
    co_return fail(ErrorKind::corrupt, std::string(device().name()) + ": the sector of the " +
                                           std::string(to_string(side)) + "'s position (byte " +
                                           std::to_string(side_place(side, sector_size_)) +
                                           ") is not one: its byte 8 is neither 1 nor 2");
  }
  pointer.flag = flag == kFlagTrue;
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

Async<void> MirageFormat::write_again(Side side, Flush flush) {
  AlignedBuffer sector(sector_size_);
  const std::uint64_t place = side_place(side, sector_size_);
  ReadParts there{sector.span()};
  SEMPER_CO_TRY_STATUS(co_await device().read(place, std::move(there)));
  WriteParts parts{std::as_const(sector).span()};
  if (flush == Flush::never) co_return co_await device().write(place, std::move(parts));
  co_return co_await device().write_and_flush(place, std::move(parts));
}

Async<void> MirageFormat::claim(Pointer& pointer, Flush flush) {
  if (flush == Flush::never) co_return Result<void>();
  co_return co_await write_again(pointer.side, flush);
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

// A side's sector says everything twice, in bytes and in its text.
Async<std::vector<HeaderDamage>> MirageFormat::check_headers() {
  std::vector<HeaderDamage> damages;
  const auto add = [&](std::uint64_t place, std::string why) {
    HeaderDamage damage;
    damage.offset = place;
    damage.bytes = sector_size_;
    damage.why = std::move(why);
    damages.push_back(std::move(damage));
  };
  AlignedBuffer sector(sector_size_);
  ReadParts mark{sector.span()};
  SEMPER_CO_TRY_STATUS(co_await device().read(0, std::move(mark)));
  if (!is_zero(sector.view().substr(kMagic.size()))) add(0, "not zero behind the mark");
  for (const Side side : {Side::producer, Side::consumer}) {
    const std::uint64_t place = side_place(side, sector_size_);
    ReadParts parts{sector.span()};
    SEMPER_CO_TRY_STATUS(co_await device().read(place, std::move(parts)));
    const std::string whose = "the " + std::string(to_string(side)) + "'s position";
    const BytesView bytes = sector.view();
    const char flag = bytes[kFlagAt];
    const BytesView text = bytes.substr(kTextAt, kTextBytes);
    const std::size_t length = std::min(text.find('\0'), text.size());
    const std::string position = std::to_string(load_u64(bytes.data()));
    const bool says_so = text.substr(0, length).ends_with(end_of_text(side, bytes));
    // A long text is cut, and a new ring has none.
    const bool may_lack = length == text.size() || (length == 0 && position == "0");
    if (flag != kFlagTrue && flag != kFlagFalse) {
      add(place, "the sector of " + whose + " is damaged: byte 8 is neither 1 nor 2");
    } else if (!says_so && !may_lack) {
      add(place, "the sector of " + whose + " is damaged: its bytes and its text differ");
    } else if (!is_zero(bytes.substr(kFlagAt + 1, kTextAt - kFlagAt - 1)) ||
               !is_zero(text.substr(length)) || !is_zero(bytes.substr(kTextAt + kTextBytes))) {
      add(place, "not zero between and behind the fields of " + whose);
    }
  }
  co_return damages;
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

// Both sides' sectors, without the mark before them. Nobody writes such texts by chance.
Async<bool> has_sides(BlockDevice& device) {
  constexpr std::uint64_t kLargest = 4096;
  AlignedBuffer head(static_cast<std::size_t>(
      round_down(std::min(device.size(), 3 * kLargest), device.sector_size())));
  ReadParts parts{head.span()};
  SEMPER_CO_TRY_STATUS(co_await device.read(0, std::move(parts)));
  for (std::uint64_t size = 512; size <= kLargest && 3 * size <= head.size(); size *= 2) {
    bool says_so = false;
    bool may_be = true;
    for (const Side side : {Side::producer, Side::consumer}) {
      const BytesView sector = head.view().substr(
          side_place(side, static_cast<std::uint32_t>(size)), kTextAt + kTextBytes);
      const BytesView text = sector.substr(kTextAt);
      const bool fits = text.substr(0, text.find('\0')).ends_with(end_of_text(side, sector));
      says_so = says_so || fits;
      may_be = may_be && (sector[kFlagAt] == kFlagTrue || sector[kFlagAt] == kFlagFalse) &&
               (fits || text.front() == '\0');
    }
    if (says_so && may_be) co_return true;
  }
  co_return false;
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
  if (!is_ring) {
    SEMPER_CO_TRY(const bool is_left, co_await has_sides(device));
    if (!is_left) co_return format;
    co_return fail(
        ErrorKind::corrupt,
        std::string(device.name()) +
            ": the positions of a ring of the format mirage-1.0 are there, and its mark is "
            "lost; put \"" +
            std::string(kMagic) +
            "\" back to byte 0, with zeros to the end of the sector, to use the ring again");
  }
  SEMPER_CO_TRY(const std::uint32_t chosen, choose_sector_size(device, sector_size));
  if (device.size() / chosen < kMinSectors) {
    co_return fail(ErrorKind::corrupt, std::string(device.name()) +
                                           ": marked as a ring, but smaller than the least one");
  }
  format = std::make_shared<MirageFormat>(device, chosen);
  co_return format;
}

Async<void> make_mirage(BlockDevice& device, const CreateOptions& options) {
  SEMPER_CO_TRY(const std::uint32_t sector_size, choose_sector_size(device, options.sector_size));
  if (device.size() / sector_size < kMinSectors) {
    co_return fail(ErrorKind::invalid_argument, std::string(device.name()) +
                                                    ": too small for a ring; the least is " +
                                                    std::to_string(kMinSectors) + " sectors");
  }
  SEMPER_CO_TRY_STATUS(co_await wipe_marks(device));
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

bool is_half_made_mirage(BytesView head) {
  for (std::size_t sector_size = 512; sector_size * 3 <= head.size(); sector_size *= 2) {
    bool fits = true;
    for (std::size_t at = 0; fits && at < head.size(); ++at) {
      const std::size_t sector = at / sector_size;
      const bool is_flag = (sector == 1 || sector == 2) && at % sector_size == kFlagAt;
      fits = head[at] == 0 || (is_flag && head[at] == kFlagFalse);
    }
    if (fits) return true;
  }
  return false;
}

}  // namespace semper::ring::internal
