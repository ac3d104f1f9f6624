#include "server/serve/suspicion.h"

#include <algorithm>
#include <limits>

#include "semper/base/cbor.h"

namespace semper::internal {
namespace {

constexpr std::uint64_t kElements = 6;

}  // namespace

void Suspicion::clear() {
  std::lock_guard lock(mutex_);
  is_due_.store(false, std::memory_order_release);
  before_.store(0, std::memory_order_release);
}

bool Suspicion::covers(Version message, Version now) {
  if (is_due_.load(std::memory_order_acquire)) {
    std::lock_guard lock(mutex_);
    if (is_due_.load(std::memory_order_relaxed)) {
      before_.store(std::max(before_.load(), now), std::memory_order_release);
      number_.fetch_add(1, std::memory_order_acq_rel);
      is_due_.store(false, std::memory_order_release);
    }
  }
  return message <= before_.load(std::memory_order_acquire);
}

Bytes Announcement::encode() const {
  Bytes out;
  cbor::Writer writer(out);
  writer.array(kElements);
  writer.bytes(place.segment.bytes());
  writer.unsigned_integer(place.offset);
  writer.unsigned_integer(popped);
  writer.unsigned_integer(until);
  writer.unsigned_integer(runs);
  writer.boolean(alone);
  return out;
}

Result<Announcement> Announcement::decode(BytesView bytes) {
  cbor::Reader reader(bytes);
  Announcement announcement;
  std::uint64_t elements = 0;
  std::uint64_t offset = 0;
  BytesView stamp;
  bool ok = reader.read_array(elements) && reader.read_bytes(stamp) &&
            reader.read_unsigned(offset) && reader.read_unsigned(announcement.popped) &&
            reader.read_unsigned(announcement.until) && reader.read_unsigned(announcement.runs) &&
            reader.read_boolean(announcement.alone);
  ok = ok && elements == kElements && stamp.size() == Versionstamp::size && reader.finish() &&
       offset <= std::numeric_limits<std::uint32_t>::max();
  if (!ok) return fail(ErrorKind::corrupt, "announcement of a run: not as it was written");
  SEMPER_TRY(announcement.place.segment, Versionstamp::from_bytes(stamp));
  announcement.place.offset = static_cast<std::uint32_t>(offset);
  return announcement;
}

std::optional<Announcement> announcement_for(const std::optional<Announcement>& found,
                                             const QueuePlace& head, std::uint64_t popped,
                                             std::uint64_t batch, int message_attempts) {
  Announcement next{head, popped, popped + std::max<std::uint64_t>(batch, 1), 1, false};
  // One that another host has got past says nothing about this message.
  if (!found || popped < found->popped || popped >= found->until) return next;
  const bool same = found->place == head;
  const auto most = static_cast<std::uint64_t>(std::max(message_attempts, 1));
  if (same && found->alone && found->runs >= most) return std::nullopt;
  next.until = found->until;
  next.runs = same ? found->runs + 1 : 2;
  next.alone = true;
  return next;
}

}  // namespace semper::internal
