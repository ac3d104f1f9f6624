#include "ring/check.h"

#include <utility>

#include "common/document.h"
#include "common/text.h"

namespace semper::cli {
namespace {

constexpr std::size_t kScanBytes = 1u << 20;
// Sectors that cannot be read are named one by one up to here, and counted beyond.
constexpr std::size_t kNamedSectorsMaximum = 1000;

struct Stretch {
  ring::Damage damage;
  Sectors sectors;
};

// What reading the whole device found.
struct RingVerdict {
  std::uint64_t items = 0;
  std::uint64_t bytes = 0;
  std::vector<Stretch> damaged;
  std::vector<ring::HeaderDamage> headers;
  std::vector<std::pair<std::uint64_t, std::string>> unreadable;  // sector, why
  std::uint64_t unreadable_count = 0;

  bool sound() const { return damaged.empty() && headers.empty() && unreadable_count == 0; }
};

std::string sectors_text(const Sectors& sectors) {
  if (sectors.wraps) {
    return "sector " + std::to_string(sectors.first) +
           " to the last one and the first of the data to " + std::to_string(sectors.last);
  }
  if (sectors.first == sectors.last) return "sector " + std::to_string(sectors.first);
  return "sectors " + std::to_string(sectors.first) + " to " + std::to_string(sectors.last);
}

// Reads every sector, and finds those that the device does not give.
class Scan {
 public:
  Scan(Invocation& invocation, BlockDevice& device, RingVerdict& verdict)
      : device_(device),
        verdict_(verdict),
        buffer_(kScanBytes),
        progress_(invocation.progress(system_clock())),
        interrupt_(invocation.interrupt()) {}

  Async<void> run() {
    const std::uint64_t size = device_.size();
    for (std::uint64_t at = 0; at < size; at += kScanBytes) {
      if (interrupt_.requested()) co_return fail(ErrorKind::cancelled, "interrupted");
      const auto length = static_cast<std::size_t>(std::min<std::uint64_t>(kScanBytes, size - at));
      const Status whole = co_await device_.read(at, buffer_.span().first(length));
      if (!whole) SEMPER_CO_TRY_STATUS(co_await by_sector(at, length, whole.error()));
      progress_.update(0, at + length, size);
    }
    co_return Status{};
  }

 private:
  Async<void> by_sector(std::uint64_t at, std::size_t length, Error error) {
    if (error.kind() != ErrorKind::io) co_return fail(std::move(error));
    const std::uint32_t sector_size = device_.sector_size();
    for (std::size_t done = 0; done < length; done += sector_size) {
      const Status one = co_await device_.read(at + done, buffer_.span().first(sector_size));
      if (one) continue;
      if (++verdict_.unreadable_count > kNamedSectorsMaximum) continue;
      verdict_.unreadable.emplace_back((at + done) / sector_size, one.error().message());
    }
    co_return Status{};
  }

  BlockDevice& device_;
  RingVerdict& verdict_;
  AlignedBuffer buffer_;
  Progress progress_;
  const Interrupt& interrupt_;
};

Bytes verdict_item(const ring::Info& info, const RingVerdict& verdict) {
  List damaged;
  for (const auto& stretch : verdict.damaged) {
    damaged.add(Fields()
                    .add("start", number_item(stretch.damage.start.offset()))
                    .add("after", number_item(stretch.damage.after.offset()))
                    .add("first_sector", number_item(stretch.sectors.first))
                    .add("last_sector", number_item(stretch.sectors.last))
                    .add("why", text_item(stretch.damage.why))
                    .item());
  }
  List headers;
  for (const auto& header : verdict.headers) {
    headers.add(Fields()
                    .add("offset", number_item(header.offset))
                    .add("bytes", number_item(header.bytes))
                    .add("why", text_item(header.why))
                    .item());
  }
  List unreadable;
  for (const auto& [sector, why] : verdict.unreadable) {
    unreadable.add(Fields().add("sector", number_item(sector)).add("why", text_item(why)).item());
  }
  return Fields()
      .add("sound", flag_item(verdict.sound()))
      .add("format", text_item(ring::to_string(info.format)))
      .add("sector_size", number_item(info.sector_size))
      .add("items", number_item(verdict.items))
      .add("bytes", number_item(verdict.bytes))
      .add("damaged", damaged.item())
      .add("damaged_headers", headers.item())
      .add("unreadable", unreadable.item())
      .add("unreadable_sectors", number_item(verdict.unreadable_count))
      .item();
}

void print_verdict(Invocation& invocation, const RingVerdict& verdict) {
  for (const auto& [sector, why] : verdict.unreadable) {
    invocation.say("sector " + std::to_string(sector) + " cannot be read: " + shown(why));
  }
  for (const auto& header : verdict.headers) {
    invocation.say("bytes " + std::to_string(header.offset) + " to " +
                   std::to_string(header.offset + header.bytes - 1) + ": " + shown(header.why));
  }
  for (const auto& stretch : verdict.damaged) {
    invocation.say(sectors_text(stretch.sectors) + ", positions " +
                   stretch.damage.start.to_string() + " to " + stretch.damage.after.to_string() +
                   ": " + shown(stretch.damage.why));
  }
  const std::string items =
      std::to_string(verdict.items) + " items with " + shown_size(verdict.bytes);
  if (verdict.sound()) invocation.say("no damage found: " + items);
}

// What was found, and what to do about each of it.
std::string findings(const RingVerdict& verdict) {
  struct Finding {
    std::uint64_t count;
    const char* one;
    const char* many;
    const char* advice;
  };
  const Finding all[] = {
      {verdict.unreadable_count, "sector that cannot be read", "sectors that cannot be read",
       "copy what can be read to another device, this one is failing"},
      {verdict.damaged.size(), "damaged stretch of items", "damaged stretches of items",
       "take a copy of the device, then go past them with `semper ring consume --skip-damage`"},
      {verdict.headers.size(), "damaged block beside the items", "damaged blocks beside the items",
       "no item is lost by that: `semper ring create` (for the superblock), and whoever attaches "
       "next "
       "(for a position), write what is named above again"}};
  std::string found;
  std::string advice;
  for (const auto& [count, one, many, next] : all) {
    if (count == 0) continue;
    found += (found.empty() ? "" : ", ") + std::to_string(count) + " " + (count == 1 ? one : many);
    advice += std::string("; ") + next;
  }
  return found + advice;
}

// The items that are there, and what is damaged between them.
Async<RingVerdict> read_ring(BlockDevice& device, const ring::Info& info,
                             ring::AttachOptions options,
                             std::function<Status(const ring::ItemView&)> each = {}) {
  RingVerdict verdict;
  const std::function<Status(const ring::ItemView&)> visit = [&](const ring::ItemView& item) {
    ++verdict.items;
    verdict.bytes += item.bytes.size();
    return each ? each(item) : Status{};
  };
  const std::function<Status(const ring::Damage&)> damaged = [&](const ring::Damage& damage) {
    verdict.damaged.push_back({damage, sectors_of(info, damage.start, damage.after)});
    return Status{};
  };
  SEMPER_CO_TRY(const ring::Position end,
                co_await ring::read_all(device, visit, damaged, std::move(options)));
  static_cast<void>(end);
  co_return std::move(verdict);
}

Fields dump_fields(const ring::Info& info) {
  Fields fields;
  fields.add("format", text_item(ring::to_string(info.format)))
      .add("sector_size", number_item(info.sector_size))
      .add("total_sectors", number_item(info.device_bytes / info.sector_size))
      .add("producer_offset", number_item(info.producer.position.offset()))
      .add("consumer_offset", number_item(info.consumer.position.offset()))
      .add("suspend", flag_item(info.consumer.suspend))
      .add("suspend_ack", flag_item(info.producer.suspend))
      .add("producer_text", text_item(info.producer.text))
      .add("consumer_text", text_item(info.consumer.text));
  return fields;
}

}  // namespace

Async<void> ring_verify(Invocation& invocation, RingPlace place) {
  SEMPER_CO_TRY(const auto options, attach_options(place, "verify"));
  SEMPER_CO_TRY(const auto device, open_ring_device(place, DeviceAccess::read_only));
  SEMPER_CO_TRY(auto headers, co_await ring::check_headers(*device, options.sector_size));
  SEMPER_CO_TRY(const auto info, co_await ring::inspect(*device, options.sector_size));
  SEMPER_CO_TRY(RingVerdict verdict, co_await read_ring(*device, info, options));
  verdict.headers = std::move(headers);
  Scan scan(invocation, *device, verdict);
  SEMPER_CO_TRY_STATUS(co_await scan.run());
  if (invocation.json()) {
    SEMPER_CO_TRY_STATUS(invocation.print_document(verdict_item(info, verdict)));
  } else {
    print_verdict(invocation, verdict);
  }
  if (verdict.sound()) co_return Status{};
  co_return fail(ErrorKind::corrupt, shown(place.path) + " has " + findings(verdict));
}

Async<void> ring_dump(Invocation& invocation, RingPlace place) {
  SEMPER_CO_TRY(const auto options, attach_options(place, "dump"));
  SEMPER_CO_TRY(const auto device, open_ring_device(place, DeviceAccess::read_only));
  SEMPER_CO_TRY(const auto info, co_await ring::inspect(*device, options.sector_size));
  List items;
  std::vector<std::vector<std::string>> rows = {{"START", "AFTER", "LENGTH", "BYTES"}};
  const std::function<Status(const ring::ItemView&)> each = [&](const ring::ItemView& item) {
    if (invocation.json()) {
      items.add(Fields()
                    .add("start", number_item(item.start.offset()))
                    .add("length", number_item(item.bytes.size()))
                    .add("after", number_item(item.after.offset()))
                    .add("hex", text_item(to_hex(item.bytes)))
                    .item());
    } else {
      rows.push_back({item.start.to_string(), item.after.to_string(),
                      std::to_string(item.bytes.size()), to_printable(item.bytes, 64)});
    }
    return Status{};
  };
  SEMPER_CO_TRY(const RingVerdict verdict, co_await read_ring(*device, info, options, each));
  if (invocation.json()) {
    SEMPER_CO_TRY_STATUS(
        invocation.print_document(dump_fields(info).add("items", items.item()).item()));
  } else {
    invocation.say(std::string(ring::to_string(info.format)) + ", producer at " +
                   info.producer.position.to_string() + ", consumer at " +
                   info.consumer.position.to_string());
    invocation.print(table(rows));
  }
  if (verdict.sound()) co_return Status{};
  co_return fail(ErrorKind::corrupt, shown(place.path) + ": " +
                                         std::to_string(verdict.damaged.size()) +
                                         " stretches cannot be read, see `semper ring verify`");
}

}  // namespace semper::cli
