// Offer: a price that holds for a day, as a durable server with timers.
//
// Shows a timer that ends something, one that repeats, and how they are cancelled with the change
// of the state that makes them pointless. The guide to durable servers (docs/guide-servers.md)
// quotes this file.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

#include "semper/semper.h"

namespace guide {

struct Offer {
  static constexpr std::string_view kName = "Offer";

  enum class Phase : std::uint8_t { none, open, accepted, expired };
  struct State {
    Phase phase = Phase::none;
    std::int64_t cents = 0;
    std::uint64_t reminders = 0;
    std::uint64_t skipped = 0;  // reminders that nobody sent, because no host ran
  };

  struct Make {
    std::int64_t cents = 0;
    std::int64_t hours = 24;
  };
  struct Accept {
    using Reply = std::int64_t;  // the price
  };
  struct Remind {};
  struct Expire {};
  using Messages = semper::Messages<Make, Accept, Remind, Expire>;

  semper::Result<State> init(const semper::EntityId&) { return State{}; }

  void handle_cast(const Make& m, State& state, semper::Context& context) {
    state.phase = Phase::open;
    state.cents = m.cents;
    context.send_after("expiry", std::chrono::hours(m.hours), Expire{});
    context.send_every("reminder", {.period = std::chrono::hours(8)}, Remind{});
  }

  semper::Reply<std::int64_t> handle_call(const Accept&, State& state, semper::Context& context) {
    if (state.phase != Phase::open) {
      return semper::fail(semper::ErrorKind::not_found, "there is no such offer any more");
    }
    state.phase = Phase::accepted;
    context.cancel_timer("expiry");
    context.cancel_timer("reminder");
    return state.cents;
  }

  void handle_cast(const Remind&, State& state, semper::Context& context) {
    ++state.reminders;
    if (context.tick() != nullptr) state.skipped += context.tick()->missed;
  }

  void handle_cast(const Expire&, State& state, semper::Context& context) {
    state.phase = Phase::expired;
    context.cancel_timer("reminder");
  }
};

}  // namespace guide
