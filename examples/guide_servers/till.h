// Till: what a shop takes in a day, as a durable server with a timer by the calendar.
//
// Shows a schedule on the clocks of the shop's own time zone, and what its tick says. The guide to
// durable servers (docs/guide-servers.md) quotes this file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "semper/semper.h"

namespace guide {

struct Till {
  static constexpr std::string_view kName = "Till";

  struct State {
    std::int64_t cents = 0;
    std::vector<std::int64_t> days;  // one for each closing
  };

  struct Open {
    std::string zone;
    using Reply = bool;
  };
  struct Take {
    std::int64_t cents = 0;
  };
  struct Holidays {
    bool begin = true;
  };
  struct Close {};
  using Messages = semper::Messages<Open, Take, Holidays, Close>;

  semper::Result<State> init(const semper::EntityId&) { return State{}; }

  semper::Reply<bool> handle_call(const Open& m, State&, semper::Context& context) {
    semper::CronOptions closing{.schedule = "30 17 * * mon-fri", .zone = m.zone};
    context.send_cron("closing", closing, Close{});
    return true;
  }

  void handle_cast(const Take& m, State& state, semper::Context&) { state.cents += m.cents; }

  void handle_cast(const Holidays& m, State&, semper::Context& context) {
    if (m.begin) context.pause_timer("closing");
    if (!m.begin) context.resume_timer("closing");
  }

  void handle_cast(const Close&, State& state, semper::Context&) {
    state.days.push_back(state.cents);
    state.cents = 0;
  }
};

}  // namespace guide
