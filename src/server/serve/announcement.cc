#include "server/serve/announcement.h"

#include <algorithm>
#include <limits>

#include "semper/base/cbor.h"

namespace semper::internal {
namespace {

constexpr std::uint64_t kAnnouncementElements = 7;
constexpr std::uint64_t kElementsBefore = 6;  // without the host, in 0.1.0

}  // namespace

Bytes Announcement::encode() const {
  Bytes out;
  cbor::Writer writer(out);
  writer.array(host.empty() ? kElementsBefore : kAnnouncementElements);
  writer.bytes(place.segment.bytes());
  writer.unsigned_integer(place.offset);
  writer.unsigned_integer(popped);
  writer.unsigned_integer(until);
  writer.unsigned_integer(runs);
  writer.boolean(alone);
  if (!host.empty()) writer.bytes(host);
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
  if (ok && elements == kAnnouncementElements) {
    BytesView host;
    ok = reader.read_bytes(host) && !host.empty();
    announcement.host = Bytes(host);
  } else {
    ok = ok && elements == kElementsBefore;
  }
  ok = ok && stamp.size() == Versionstamp::size && reader.finish() &&
       offset <= std::numeric_limits<std::uint32_t>::max();
  if (!ok) return fail(ErrorKind::corrupt, "the announcement of a run is damaged");
  SEMPER_TRY(announcement.place.segment, Versionstamp::from_bytes(stamp));
  announcement.place.offset = static_cast<std::uint32_t>(offset);
  return announcement;
}

std::optional<Announcement> announcement_for(const std::optional<Announcement>& found,
                                             Announcer announcer, const QueuePlace& head,
                                             std::uint64_t popped, std::uint64_t batch,
                                             int message_attempts) {
  Announcement next{head, popped, popped + std::max<std::uint64_t>(batch, 1), 1, false, {}};
  // One that another host has got past says nothing about this message.
  if (!found || !found->concerns(popped)) return next;
  const bool same = found->place == head;
  next.until = found->until;
  if (announcer == Announcer::lives) {
    // To run alone means that it was in a batch that ended its process.
    next.alone = found->alone;
    next.runs = same ? found->runs : next.alone ? 2 : 1;
    return next;
  }
  const auto most = static_cast<std::uint64_t>(std::max(message_attempts, 1));
  if (same && found->alone && found->runs >= most) return std::nullopt;
  next.runs = same ? found->runs + 1 : 2;
  next.alone = true;
  return next;
}

}  // namespace semper::internal
