// Dead letters: what operators do with messages that failed and were set aside.
//
// What for: counting, putting back, deleting. Looking at them: list_dead_letters (inspect.h). When not:
// what the entity itself does about one is its handle_dead_letter (dead_letter_info.h).
//
//   const auto letters = co_await semper::list_dead_letters(tenant, id, 20);      // oldest first
//   std::vector<semper::Versionstamp> two = {(*letters)[0].stamp, (*letters)[1].stamp};
//   SEMPER_CO_TRY_STATUS(co_await semper::redrive_dead_letters(tenant, id, two)); // both or neither
//
// When a message becomes one: after so many runs that failed (HostOptions::message_attempts, or the
// behaviour's kMessageAttempts; counted in the store, whichever hosts and processes they were of), or at
// once where no run can succeed. Redriven, it is a new message at the end of the queue, and its runs
// are counted anew. A call is a call again, although its caller may be gone.
//
// How long they stay: until they are redriven, deleted, or the entity is killed; or within the bounds
// that the behaviour sets (behaviour.h: kDeadLettersKept, kDeadLettersKeptFor), looked at whenever
// another one comes.
//
// Durable on success. Error of those that take stamps: nothing was done. If a function never returns:
// all of each transaction or none. Errors: not_found (no such entity, or no such letter: the
// message names it), invalid_argument (more stamps than kDeadLettersAtOnce), exhausted (more bytes than
// a transaction takes: name fewer), corrupt, and the store's. Threads: any.
// Source of the idea: dead letter queues of SQS and Azure Service Bus; their redrive.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "semper/server/entity_id.h"
#include "semper/server/inspect.h"
#include "semper/store/versionstamp.h"

namespace semper {

// Letters that one transaction puts back or deletes.
inline constexpr std::size_t kDeadLettersAtOnce = 256;

// Of the error that the caller of a call got: how often the message had run when it was set aside. Empty:
// it was not set aside. Read from the message, which begins "dead_letter(3): ", so that it holds across
// processes and versions; where places were put before it (Error::in), it is found behind them.
std::optional<std::uint64_t> dead_letter_attempts(const Error& error);

// How many there are, up to kDeadLettersCounted. 0 where the entity has none, or is not there.
Async<std::uint64_t> count_dead_letters(Tenant tenant, EntityId id);

// These go back to the end of the queue, in the order given: all or none.
Async<void> redrive_dead_letters(Tenant tenant, EntityId id, std::vector<Versionstamp> letters);

// These are deleted: all or none.
Async<void> delete_dead_letters(Tenant tenant, EntityId id, std::vector<Versionstamp> letters);

// Deletes all that are there now, or those set aside before a time, oldest first, in transactions of
// kDeadLettersAtOnce. Returns how many. On an error, or where it never returns, some are gone.
Async<std::uint64_t> purge_dead_letters(Tenant tenant, EntityId id,
                                        std::optional<WallTime> before = std::nullopt);

}  // namespace semper
