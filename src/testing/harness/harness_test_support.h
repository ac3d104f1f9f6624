// Behaviours that are right, for the tests of the harness.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "semper/testing/harness.h"

namespace semper::testing {

struct Ledger {
  static constexpr std::string_view kName = "Ledger";
  using State = std::int64_t;
  struct Booked {
    std::int64_t amount = 0;
  };
  using Messages = semper::Messages<Booked>;
  Result<State> init(const EntityId&) { return 0; }
  void handle_cast(const Booked& m, State& state, Context&) { state += m.amount; }
};

struct Purse {
  static constexpr std::string_view kName = "Purse";
  struct State {
    std::int64_t coins = 0;
    ReplyToken waiting = {};
    std::int64_t promised = 0;
  };
  struct Put {
    std::int64_t coins = 0;
    using Reply = std::int64_t;
  };
  struct Add {
    std::int64_t coins = 0;
  };
  struct Send {
    std::string to;
    std::int64_t coins = 0;
    using Reply = std::int64_t;
  };
  struct Report {
    std::string ledger;
    using Reply = std::int64_t;
  };
  struct PutWhenAsked {
    std::int64_t coins = 0;
    using Reply = std::int64_t;
  };
  struct Ask {};
  struct CallsSeen {
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Put, Add, Send, Report, PutWhenAsked, Ask, CallsSeen>;

  Result<State> init(const EntityId&) { return State{}; }

  Reply<std::int64_t> handle_call(const Put& m, State& state, Context&) {
    ++calls_;
    state.coins += m.coins;
    return Reply<std::int64_t>(state.coins).then([](const State&) {});
  }
  Outcome handle_cast(const Add& m, State& state, Context&) {
    if (m.coins < 0) return fail(ErrorKind::invalid_argument, "less than nothing");
    state.coins += m.coins;
    return {};
  }
  Reply<std::int64_t> handle_call(const Send& m, State& state, Context& context) {
    if (m.coins > state.coins) {
      return fail(ErrorKind::exhausted, "only " + std::to_string(state.coins) + " there");
    }
    state.coins -= m.coins;
    const Add onward{m.coins};
    context.cast(semper::ref<Purse>(context.tenant(), m.to), onward);
    return state.coins;
  }
  Reply<std::int64_t> handle_call(const Report& m, State& state, Context& context) {
    const Ledger::Booked booked{state.coins};
    context.cast(semper::ref<Ledger>(context.tenant(), m.ledger), booked);
    return state.coins;
  }
  Reply<std::int64_t> handle_call(const PutWhenAsked& m, State& state, Context& context) {
    state.waiting = context.reply_token();
    state.promised = m.coins;
    return no_reply;
  }
  void handle_info(const Add& m, State& state, Context&) { state.coins += m.coins; }
  void handle_cast(const Ask&, State& state, Context& context) {
    state.coins += state.promised;
    context.reply(state.waiting, state.coins);
    state.waiting = {};
    state.promised = 0;
  }
  Reply<std::int64_t> handle_call(const CallsSeen&, State&, Context&) { return calls_ + 1; }

 private:
  std::int64_t calls_ = 0;
};

}  // namespace semper::testing
