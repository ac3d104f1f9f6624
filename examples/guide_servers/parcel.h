// Parcel: a parcel that is announced to its carrier, as a durable server with limits.
//
// Shows work that an outside system allows only so often, and only so much of at a time: by
// carrier, in all hosts together. The guide to durable servers (docs/guide-servers.md) quotes this
// file.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "semper/semper.h"

namespace guide {

// What a label costs with a carrier: it does not wait to be asked.
struct Quote {
  static constexpr std::string_view kName = "Quote";
  static constexpr semper::RateLimit kRateLimit{.messages = 5, .per = std::chrono::seconds(1)};
  static constexpr semper::OverLimit kOverLimit = semper::OverLimit::refuse;

  struct State {
    std::int64_t asked = 0;
  };
  struct Ask {
    std::int64_t grams = 0;
    using Reply = std::int64_t;  // cents
  };
  using Messages = semper::Messages<Ask>;

  semper::Result<State> init(const semper::EntityId&) { return State{}; }
  semper::Reply<std::int64_t> handle_call(const Ask& m, State& state, semper::Context&) {
    ++state.asked;
    return 390 + m.grams / 100;
  }
};

// The carriers' own system.
class Carriers {
 public:
  virtual ~Carriers() = default;
  virtual semper::Async<std::string> announce(const std::string& parcel) = 0;
};

struct Parcel {
  static constexpr std::string_view kName = "Parcel";
  static constexpr int kConcurrencyLimit = 2;
  static constexpr semper::RateLimit kRateLimit{
      .messages = 60, .per = std::chrono::minutes(1), .burst = 10};

  // "blue/1001": the carrier, and the parcel's number there.
  static std::string limit_key(const semper::EntityId& id) {
    return id.id.substr(0, id.id.find('/'));
  }

  // Of all carriers together, at a time; who pays for it gets three places for each of the others'.
  static constexpr int kTypeConcurrencyLimit = 5;
  static int limit_weight(std::string_view carrier) { return carrier == "express" ? 3 : 1; }

  struct State {
    std::string tracking;
  };
  struct Announce {};
  using Messages = semper::Messages<Announce>;

  explicit Parcel(Carriers& carriers) : carriers_(carriers) {}

  semper::Result<State> init(const semper::EntityId&) { return State{}; }

  semper::Outcome handle_cast(const Announce&, State&, semper::Context&) { return semper::lock(); }

  semper::Async<void> handle_locked(const Announce&, State& state, semper::LockedContext& context) {
    SEMPER_CO_TRY(state.tracking, co_await carriers_.announce(context.id().id));
    co_return semper::Status{};
  }

 private:
  Carriers& carriers_;
};

}  // namespace guide
