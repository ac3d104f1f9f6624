// Stock: one article in a warehouse, as a durable server.
//
// Shows calls, casts, errors that are replied, and replies that come later. The guide to durable
// servers (docs/guide-servers.md) quotes this file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "semper/semper.h"

namespace guide {

struct Stock {
  static constexpr std::string_view kName = "Stock";

  struct Waiting {
    semper::ReplyToken caller;
    std::int64_t amount = 0;
  };
  struct State {
    std::int64_t available = 0;
    std::vector<Waiting> waiting = {};  // added in the second release
  };

  struct Deliver {
    std::int64_t amount = 0;
  };
  struct Reserve {
    std::int64_t amount = 0;
    using Reply = std::int64_t;  // what is left
  };
  struct ReserveWhenThere {
    std::int64_t amount = 0;
    using Reply = std::int64_t;
  };
  struct Count {
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Deliver, Reserve, ReserveWhenThere, Count>;

  semper::Result<State> init(const semper::EntityId&) { return State{}; }

  semper::Reply<std::int64_t> handle_call(const Count&, State& state, semper::Context&) {
    return state.available;
  }

  semper::Reply<std::int64_t> handle_call(const Reserve& m, State& state, semper::Context&) {
    if (m.amount > state.available) {
      return semper::fail(semper::ErrorKind::exhausted,
                          "only " + std::to_string(state.available) + " left");
    }
    return state.available -= m.amount;
  }

  semper::Outcome handle_cast(const Deliver& m, State& state, semper::Context& context) {
    if (m.amount <= 0) {
      return semper::fail(semper::ErrorKind::invalid_argument, "a delivery of nothing");
    }
    state.available += m.amount;
    answer_waiting(state, context);
    return {};
  }

  semper::Reply<std::int64_t> handle_call(const ReserveWhenThere& m, State& state,
                                          semper::Context& context) {
    if (m.amount <= state.available) return state.available -= m.amount;
    state.waiting.push_back({context.reply_token(), m.amount});
    return semper::no_reply;
  }

  static void answer_waiting(State& state, semper::Context& context) {
    std::vector<Waiting> still_waiting;
    for (const Waiting& waiting : state.waiting) {
      if (waiting.amount > state.available) {
        still_waiting.push_back(waiting);
        continue;
      }
      state.available -= waiting.amount;
      context.reply(waiting.caller, state.available);
    }
    state.waiting = std::move(still_waiting);
  }
};

}  // namespace guide
