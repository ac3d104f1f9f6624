// Any bytes as the rows of durable servers: what a decoder takes is what was there, so that nothing
// is cut to a narrower number or passed over in silence, and what is shown as a key's name names
// that key.
#include <string>

#include "fuzz/fuzz.h"
#include "semper/base/assert.h"
#include "semper/base/codec.h"
#include "server/format/keys.h"
#include "server/format/lease.h"
#include "server/format/orders.h"
#include "server/format/records.h"
#include "server/format/timers.h"
#include "server/serve/announcement.h"

namespace semper::fuzz {
namespace {

using namespace internal;

// As written by us: the items of the row, behind a versionstamp where there is one.
void hold_against(BytesView row, BytesView encoded, std::size_t stamp_bytes = 0) {
  Bytes there;
  Bytes understood;
  SEMPER_ASSERT(canonical_cbor(row.substr(stamp_bytes), there), "a row is whole items");
  SEMPER_ASSERT(canonical_cbor(encoded.substr(stamp_bytes), understood), "as is what we write");
  SEMPER_ASSERT(understood == there, "all of the row was understood");
}

void check_header(BytesView row) {
  const auto header = Header::decode(row);
  if (header) hold_against(row, header->encode(), Versionstamp::size);
}

void check_order(BytesView row) {
  const auto order = internal::Order::decode(row);
  if (order) hold_against(row, order->encode(), Versionstamp::size);
}

void check_queue(BytesView row) {
  const auto messages = decode_segment(row);
  if (!messages) return;
  SegmentWriter writer;
  for (const auto& message : *messages) writer.add(message.event, message.content, message.caller);
  hold_against(row, writer.finish());
}

void check_letter(BytesView row) {
  const auto letter = decode_dead_letter(row);
  if (letter && letter->reason.size() <= kDeadLetterReasonBytes) {
    hold_against(row, encode_dead_letter(*letter));
  }
}

void check_reply(BytesView row) {
  const auto reply = decode_reply(row);
  if (!reply) return;
  if (*reply) return hold_against(row, encode_reply(**reply));
  const Bytes encoded = encode_reply_error(reply->error());
  const auto again = decode_reply(encoded);
  SEMPER_ASSERT(again && !*again && again->error().kind() == reply->error().kind(),
                "an error is passed on as it came");
}

void check_alive(BytesView row) {
  const auto record = decode_alive(row);
  if (!record) return;
  const auto again = decode_alive(encode_alive(*record));
  SEMPER_ASSERT(again && again->name == record->name && again->renewals == record->renewals &&
                    again->types == record->types && again->lease_ms == record->lease_ms,
                "a registration is written as it was read");
}

void check_infos(BytesView row) {
  const auto infos = decode_message_infos(row);
  if (!infos) return;
  const Bytes encoded = encode_message_infos(*infos);
  const auto again = decode_message_infos(encoded);
  SEMPER_ASSERT(again && encode_message_infos(*again) == encoded, "a type is shown as it is");
}

void check_timer(BytesView row) {
  auto timer = TimerRecord::decode(row);
  if (!timer) return;
  const auto again = TimerRecord::decode(timer->encode());
  SEMPER_ASSERT(
      again && is_same_timer(again->spec, timer->spec) && again->encode() == timer->encode(),
      "a timer is written as it was read");
  const auto cron = cron_times_of(timer->spec);
  if (!cron) return;
  const Firing firing = fire_timer(*timer, "t", 1'800'000'000'000, *cron ? &**cron : nullptr);
  SEMPER_ASSERT(firing.what == Fired::later || timer->next_ms >= 0, "it goes on");
}

void check_schedule(BytesView text) {
  const auto schedule = CronSchedule::parse(text);
  if (!schedule) return;
  constexpr std::int64_t kSomeTime = 1'800'000'000;
  const std::int64_t next = schedule->first_from(kSomeTime);
  SEMPER_ASSERT(next >= kSomeTime && schedule->fits(next), "it comes");
  SEMPER_ASSERT(schedule->count(kSomeTime, next + 1) == 1 && schedule->last_until(next) == next,
                "nothing of it lies between");
}

void check_others(BytesView row) {
  if (const auto announcement = Announcement::decode(row)) {
    hold_against(row, announcement->encode());
  }
  const auto renewal = LockRenewal::decode(Bytes(row));
  const auto same = LockRenewal::decode(renewal.encode());
  SEMPER_ASSERT(same.renewals == renewal.renewals, "a renewal is written as it was read");
  SEMPER_ASSERT(!renewal.lease || same.vanished == renewal.vanished, "with a lease all of it");
  const auto note = ParkedNote::decode(row);
  SEMPER_ASSERT(note.reason.size() <= row.size(), "a note is part of its row");
  counter_value(Bytes(row));
}

void check_key(BytesView key) {
  if (const auto id = entity_of_key("", key)) {
    Bytes own = EntityKeys("", *id).everything().begin;
    own.pop_back();
    SEMPER_ASSERT(key.starts_with(own), "the entity that a key is of has that key");
  }
  if (const auto session = session_of_key("", key)) {
    SEMPER_ASSERT(key.starts_with(session_key("", *session)), "as has the session");
    const auto number = number_of_reply_key("", key);
    if (number && replies_of("", *session).contains(key)) {
      SEMPER_ASSERT(key.starts_with(reply_key("", *session, *number)), "and the call");
    }
  }
  static_cast<void>(id_of_index_key("", key));
  static_cast<void>(EntityKeys::stamp_in(key));
}

}  // namespace

std::vector<Bytes> seeds() {
  Header header;
  header.popped = 70'000;
  header.head_offset = 300;
  header.lock = LockRecord{7, "host", -5};
  header.has_state = true;
  header.state = encode(std::string("state"));
  Header large;
  large.has_state = true;
  large.chunks = 3;
  Header placed = large;
  placed.state_bytes = 10'000;
  placed.state_version = 2;
  internal::Order kill;
  kill.done_of_first = 2;
  internal::Order unlock;
  unlock.kind = internal::Order::Kind::unlock;
  unlock.unlocks = 7;
  const QueuedMessage call{Event::call, {"Add", encode(std::int64_t{5})}, {"0123456789abcdef", 42}};
  SegmentWriter segment;
  segment.add(call.event, call.content, call.caller);
  segment.add(Event::cast, {"Add", encode(std::int64_t{6})}, {});
  Announcement announcement;
  announcement.place.offset = 70'000;
  announcement.alone = true;
  LockRenewal renewal;
  renewal.renewals = 3;
  renewal.lease = std::chrono::seconds(10);
  renewal.vanished = 2;
  const EntityId id{"Counter", "page/home"};
  const EntityKeys keys("", id);
  TimerRecord timer;
  timer.spec.kind = TimerSpec::Kind::cron;
  timer.spec.schedule = "30 17 * * mon-fri";
  timer.spec.zone = "Europe/Berlin";
  timer.spec.jitter_ms = 60'000;
  timer.next_ms = 1'795'624'200'000;
  timer.resumed_ms = timer.next_ms - 1;
  TimerRecord plain;
  plain.spec.kind = TimerSpec::Kind::every;
  plain.spec.span_ms = 1'000;
  return {timer.encode(),
          plain.encode(),
          "*/15,7 8-18/2 1 jan-mar,DEC 5/1",
          "@daily",
          header.encode(),
          large.encode(),
          placed.encode(),
          kill.encode(),
          unlock.encode(),
          segment.finish(),
          encode_dead_letter({call, "it threw", 1500}),
          encode_reply("\x01"),
          encode_reply_error(Error(ErrorKind::exhausted, "full")),
          encode_alive({"host", 3, 1500, {"Counter", "Page"}, 10'000}),
          encode_message_infos({{"Add", true, true, false, false, {{"by"}}, "\x81\x01"}}),
          announcement.encode(),
          renewal.encode(),
          ParkedNote{"why", "0123456789"}.encode(),
          keys.header(),
          keys.chunk(3),
          keys.index(),
          keys.dead_letter_at(Versionstamp::complete(1, 2, 3)),
          reply_key("", "0123456789abcdef", 70'000),
          host_key("", "0123456789abcdef")};
}

void check(BytesView input) {
  check_header(input);
  check_order(input);
  check_queue(input);
  check_letter(input);
  check_reply(input);
  check_timer(input);
  check_schedule(input);
  check_alive(input);
  check_infos(input);
  check_others(input);
  check_key(input);
}

}  // namespace semper::fuzz
