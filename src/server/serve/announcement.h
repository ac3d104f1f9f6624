// Announcement: what is being run where a process has ended before, written before it is run.
//
// A message that nobody has run yet costs nothing here. One that was in the queue when a process
// died may have been the cause (suspicion.h): before it is run again, that is announced durably, in
// a small commit of its own, and the announcement is taken away by the commit of the run. Who finds
// one knows what was running when its process ended:
//
//   no announcement            it is run as ever, in a batch, announced
//   of a batch that it was in  it is run alone, announced, while nothing else of this host is that
//                              was announced as well
//   of itself, alone           the same again, until HostOptions::message_attempts runs are
//                              counted; then it is set aside unrun
//
// A run counts once the host that announced it has ended, which its row says (membership.h). Until
// then it is waited for, up to kAnnouncerLeases of its leases; one that lives on lets others run
// the message, as in a fleet that is replaced host by host, and nothing is counted. A host that
// stops, or gives an entity to another, takes its announcement away.
#pragma once

#include <cstdint>
#include <optional>

#include "semper/base/bytes.h"
#include "semper/base/result.h"
#include "semper/store/versionstamp.h"

namespace semper::internal {

// One for a row that goes, one for the hosts to see that it must.
inline constexpr int kAnnouncerLeases = 2;

// A message of a queue: no other, of no other queue, ever has the same.
struct QueuePlace {
  Versionstamp segment;
  std::uint32_t offset = 0;
  friend bool operator==(const QueuePlace&, const QueuePlace&) = default;
};

// (1, type, id, 8). CBOR: [stamp, offset, popped, until, runs, alone, host].
struct Announcement {
  QueuePlace place;
  std::uint64_t popped = 0;  // messages taken from the queue before it
  std::uint64_t until = 0;   // the batch ends before the message with this number
  std::uint64_t runs = 0;    // announced so far, with this one
  bool alone = false;
  Bytes host;  // who runs it: HostCore::id; empty in rows of 0.1.0

  // Whether it says anything of the message that this number of messages was taken before.
  bool concerns(std::uint64_t number) const { return popped <= number && number < until; }

  Bytes encode() const;
  static Result<Announcement> decode(BytesView bytes);
};

enum class Announcer : std::uint8_t { ended, lives };

// The announcement to make before the first message is run, or, where it is to be set aside
// instead, nothing. `batch`: messages that would run with it. The caller adds its own name.
std::optional<Announcement> announcement_for(const std::optional<Announcement>& found,
                                             Announcer announcer, const QueuePlace& head,
                                             std::uint64_t popped, std::uint64_t batch,
                                             int message_attempts);

}  // namespace semper::internal
