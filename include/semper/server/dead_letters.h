// Dead letters: managing messages that failed and were set aside.
//
// What for: listing, counting, redriving and deleting them. When not: for the entity's own
// reaction, use handle_dead_letter (dead_letter_info.h).
//
//   SEMPER_CO_TRY(const auto letters, co_await semper::list_dead_letters(tenant, id, 20));
//   std::vector<semper::Versionstamp> chosen;                             // oldest first
//   for (const auto& letter : letters) chosen.push_back(letter.stamp);
//   SEMPER_CO_TRY_STATUS(co_await semper::redrive_dead_letters(tenant, id, chosen));  // all
//
// When a message becomes a dead letter: after a number of failed runs
// (HostOptions::message_attempts, or the behaviour's kMessageAttempts; counted in the store across
// hosts and processes), or at once if no run can succeed. A redriven letter is a new message at the
// end of the queue, and its runs are counted from zero. A call is a call again, although its caller
// may be gone.
//
// How long they stay: until they are redriven, deleted, or the entity is killed; or within the
// bounds that the behaviour sets (behaviour.h: kDeadLettersKept, kDeadLettersKeptFor), which are
// checked whenever a new letter is added.
//
// Durable on success. If a function that takes stamps fails, nothing was done. If a function never
// returns, each of its transactions was applied completely or not at all. Errors: not_found (no
// such entity, or no such letter: the message names it), invalid_argument (more stamps than
// kDeadLettersAtOnce), exhausted (more bytes than fit into a transaction: name fewer), corrupt, and
// the store's errors. Threads: any.
// Source of the idea: dead letter queues of SQS and Azure Service Bus; their redrive.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "semper/server/entity_id.h"
#include "semper/server/message.h"
#include "semper/store/versionstamp.h"

namespace semper {

// Letters that one transaction redrives or deletes.
inline constexpr std::size_t kDeadLettersAtOnce = 256;

// How many letters of one entity are counted (inspect(), count_dead_letters); there may be more.
inline constexpr std::uint64_t kDeadLettersCounted = 10'000;

struct DeadLetterView {
  Versionstamp stamp;
  bool was_call = false;
  RawMessage message;
  std::string reason;
  WallTime time;  // of its last run, after which it was set aside
  // Runs until then, and the time of the first. For letters of 0.1.0 neither is known: 0, and
  // `time`.
  std::uint64_t attempts = 0;
  WallTime first_attempt = {};
  // Its row cannot be read: `reason` says why, and only `stamp` is known. It can be deleted, and a
  // redrive without stamps passes over it.
  bool is_damaged = false;
};

// The first `limit` letters, oldest first; or of those set aside after the letter with this stamp,
// which is how to go on: with the stamp of the last one.
Async<std::vector<DeadLetterView>> list_dead_letters(Tenant tenant, EntityId id,
                                                     std::size_t limit = 100);
Async<std::vector<DeadLetterView>> list_dead_letters(Tenant tenant, EntityId id, std::size_t limit,
                                                     Versionstamp after);

// From the error that the caller of a call got: how often the message had run when it was set
// aside. Empty: it was not set aside. This is parsed from the error's message, which begins with
// "dead_letter(3): " (after any places that Error::in has put in front), so it works across
// processes and versions.
std::optional<std::uint64_t> dead_letter_attempts(const Error& error);

// How many there are, up to kDeadLettersCounted. 0 if the entity has none or does not exist.
Async<std::uint64_t> count_dead_letters(Tenant tenant, EntityId id);

// Puts these back at the end of the queue, in the order given: all or none.
Async<void> redrive_dead_letters(Tenant tenant, EntityId id, std::vector<Versionstamp> letters);

// Puts the oldest `limit` letters back at the end of the queue, in order, in transactions of up to
// kDeadLettersAtOnce. Damaged letters stay. Returns how many were put back. On an error, or if it
// never returns, some have been put back; call it again.
Async<std::uint64_t> redrive_dead_letters(Tenant tenant, EntityId id, std::size_t limit = 100);

// Deletes these: all or none.
Async<void> delete_dead_letters(Tenant tenant, EntityId id, std::vector<Versionstamp> letters);

// Deletes all current letters, or those set aside before a time (damaged ones have none and stay),
// oldest first, in transactions of kDeadLettersAtOnce. Returns how many. On an error, or if it
// never returns, some have been deleted.
Async<std::uint64_t> purge_dead_letters(Tenant tenant, EntityId id,
                                        std::optional<WallTime> before = std::nullopt);

}  // namespace semper
