// DeadLetterInfo: what an entity is told about a message that was set aside.
//
// What for: the optional callback handle_dead_letter of a behaviour (behaviour.h), for work that
// must follow when a message is given up: recording it in the state, a refund, a cast to whoever
// handles it. When not: listing or redriving dead letters (dead_letters.h).
//
//   void handle_dead_letter(const semper::DeadLetterInfo& letter, State& s, semper::Context& ctx) {
//     s.failed.push_back(letter.message.name);
//     ctx.cast(semper::ref<Desk>(ctx.tenant(), "main"), Desk::Failed{letter.error.to_string()});
//   }
//
// It runs in the transaction that sets the message aside: exactly once with it. If it throws,
// returns an error, asks for the lock, or its result cannot be written, the message is set aside
// without it, and the log says so. It then never runs again for that letter, and stops nothing. It
// does not run for a message that crashed its processes (the callback itself may have crashed
// them), or for a call that no callback handles (its caller gets the error).
//
// Threads: a value.
#pragma once

#include <cstdint>

#include "semper/base/result.h"
#include "semper/base/time.h"
#include "semper/server/message.h"

namespace semper {

struct DeadLetterInfo {
  RawMessage message;
  Event event = Event::cast;  // or a call, whose caller gets the error
  Error error;                // of the last run
  std::uint64_t attempts = 0;
  // Wall-clock times of the first run that failed and of the last one.
  WallTime first_attempt;
  WallTime last_attempt;
};

}  // namespace semper
