// The durable servers of the crash tests: they keep exact accounts of what reached them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "semper/semper.h"

namespace semper::testing {

// One publisher's messages to one ledger, which it numbers from 1.
struct Account {
  std::uint64_t last = 0;
  std::uint64_t applied = 0;
  std::uint64_t repeats = 0;  // a number that was not above the last one: twice, or out of order
  std::vector<std::uint64_t> missed;
  std::uint64_t forwarded = 0;  // of them, sent on to the total
};

struct Ledger {
  static constexpr std::string_view kName = "ledger";
  static constexpr const char* kTotal = "total";

  using State = std::map<std::string, Account>;  // by publisher

  struct Receipt {
    std::string publisher;
    std::uint64_t number = 0;
    std::uint64_t applied = 0;  // messages of this publisher so far, this one included
  };
  struct Post {
    std::string publisher;
    std::uint64_t number = 0;
    // To the ledger that is named here, in the same transaction, if this is not empty.
    std::string forward_to;
    using Reply = Receipt;
  };
  using Messages = semper::Messages<Post>;

  Result<State> init(const EntityId&) { return State{}; }

  void handle_cast(const Post& post, State& state, Context& context) {
    static_cast<void>(apply(post, state, context));
  }
  Reply<Receipt> handle_call(const Post& post, State& state, Context& context) {
    return Receipt{post.publisher, post.number, apply(post, state, context)};
  }

 private:
  static std::uint64_t apply(const Post& post, State& state, Context& context) {
    Account& account = state[post.publisher];
    if (post.number <= account.last) {
      ++account.repeats;
      return 0;
    }
    for (auto number = account.last + 1; number < post.number; ++number) {
      account.missed.push_back(number);
    }
    account.last = post.number;
    ++account.applied;
    if (!post.forward_to.empty()) {
      const Post onward{context.id().id + " " + post.publisher, ++account.forwarded, ""};
      context.cast(ref<Ledger>(context.tenant(), post.forward_to), onward);
    }
    return account.applied;
  }
};

}  // namespace semper::testing
