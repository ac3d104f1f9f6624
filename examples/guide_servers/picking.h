// Picking: what one of the shop's packers fetches next, as a durable server with a list and a set.
//
// Shows entries in an order that people choose, and keys that are there or not. The guide to
// durable servers (docs/guide-servers.md) quotes this file.
#pragma once

#include <string>
#include <string_view>

#include "semper/semper.h"
#include "semper/server/list.h"
#include "semper/server/set.h"

namespace guide {

struct Picking {
  static constexpr std::string_view kName = "Picking";
  static constexpr semper::List<std::string> kOrders{"orders"};  // from the next one on
  static constexpr semper::Set<std::string> kPaused{"paused"};

  struct State {};

  struct Add {
    std::string order;
    using Reply = semper::ListPlace;
  };
  struct Prefer {  // one order before another
    semper::ListPlace order;
    semper::ListPlace other;
    using Reply = semper::ListPlace;
  };
  struct Pause {
    std::string order;
    using Reply = bool;
  };
  using Messages = semper::Messages<Add, Prefer, Pause>;

  semper::Result<State> init(const semper::EntityId&) { return State{}; }

  semper::Async<semper::ListPlace> handle_call(const Add& m, State&, semper::Context& context) {
    return kOrders.push_back(context, m.order);
  }

  semper::Async<semper::ListPlace> handle_call(const Prefer& m, State&, semper::Context& context) {
    return kOrders.move_before(context, m.order, m.other);
  }

  semper::Async<bool> handle_call(const Pause& m, State&, semper::Context& context) {
    return kPaused.insert(context, m.order);  // false if it was paused already
  }
};

}  // namespace guide
