// DeadLetterInfo: a message that was set aside, as its entity is told of it.
//
// What for: the optional callback handle_dead_letter of a behaviour (behaviour.h), for what must follow
// when a message is given up: a state that says so, a refund, a cast to whoever looks after it. When not:
// looking at dead letters, or putting them back (dead_letters.h).
//
//   void handle_dead_letter(const semper::DeadLetterInfo& letter, State& s, semper::Context& ctx) {
//     s.failed.push_back(letter.message.name);
//     ctx.cast(semper::ref<Desk>(ctx.tenant(), "main"), Desk::Failed{letter.error.to_string()});
//   }
//
// It runs in the transaction that sets the message aside: exactly once with it. Where it throws, returns
// an error, asks for the lock, or what it came to cannot be written, the message is set aside without it,
// and a line in the log says so: it never runs again for that letter, and stops nothing. It does not run
// for a message that ended its processes (it may be what ended them), nor for a call that no callback
// takes (its caller is told).
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
  // By the calendar, of the first run that failed and of the last one.
  WallTime first_attempt;
  WallTime last_attempt;
};

}  // namespace semper
