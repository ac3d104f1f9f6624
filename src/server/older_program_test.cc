// A host whose program is older than the one that wrote a state.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "semper/base/codec_json.h"
#include "semper/open_store.h"
#include "semper/server/host.h"
#include "semper/server/inspect.h"
#include "semper/server/ref.h"
#include "semper/testing/simulated_run.h"

namespace semper {
namespace {

using testing::simulated_run;
using testing::SimulatedClock;

struct Touch {
  static constexpr std::string_view kName = "Touch";
  using Reply = std::int64_t;
};

// One type of entity as two programs know it: each touch counts, and the newer one fills the rest.
template <class StateOf>
struct Thing {
  static constexpr std::string_view kName = "thing";
  using State = StateOf;
  using Messages = semper::Messages<Touch>;
  Result<State> init(const EntityId&) { return State(); }
  Reply<std::int64_t> handle_call(const Touch&, State& s, Context&) {
    s.fill();
    return ++s.touches;
  }
};
template <class StateOf>
struct Careless : Thing<StateOf> {
  static constexpr bool kDropsUnknownFields = true;
};

struct OldFields {
  std::int64_t touches = 0;
  void fill() {}
};
struct NewFields {
  std::int64_t touches = 0;
  std::string owner;
  void fill() { owner = "Ann"; }
};

struct OldItem {
  std::int64_t price = 0;
};
struct NewItem {
  std::int64_t price = 0;
  std::string currency;
};
template <class Item>
struct Nested {
  std::int64_t touches = 0;
  std::vector<Item> items;
  void fill() {
    if (items.empty()) items.resize(2);
    if constexpr (std::is_same_v<Item, NewItem>) items[1].currency = "EUR";
  }
};

struct OldDocument {
  std::int64_t touches = 0;
  std::vector<OldFields> rows;
  void fill() {}
};
struct NewDocument {
  std::int64_t touches = 0;
  std::vector<NewFields> rows;
  void fill() {
    if (rows.empty()) rows.resize(1);
    rows[0].owner = "Ann";
  }
};
struct WiderDocument : OldDocument {
  std::string owner;
  void fill() { owner = "Ann"; }
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(OldFields, touches)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(NewFields, touches, owner)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(OldDocument, touches, rows)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(NewDocument, touches, rows)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(WiderDocument, touches, rows, owner)

struct OldPlain {
  std::int64_t touches = 0;
  void fill() {}
};
struct NewPlain {
  std::int64_t touches = 0;
  std::string owner;
  void fill() { owner = "Ann"; }
};

class OlderProgram : public ::testing::Test {
 protected:
  // A touch in a process whose host serves B.
  template <class B>
  Async<std::int64_t> touch(const Store& store) {
    HostOptions options;
    options.executor = co_await asio::this_coro::executor;
    Host host(store, options);
    host.serve<B>();
    auto touched = co_await ref<B>(store, "t").call(Touch{});
    static_cast<void>(co_await host.stop());
    co_return touched;
  }

  template <class Old, class New, class OldButCareless>
  Task<void> whole() {
    StoreOptions options;
    options.env.clock = &clock_;
    auto opened = co_await open_store("memory:", options);
    EXPECT_TRUE(opened);
    if (!opened) co_return;
    const Store store = *opened;
    const EntityId id = thing();
    Result<std::int64_t> touches = co_await touch<Old>(store);
    EXPECT_EQ(touches.value_or(-1), 1);
    touches = co_await touch<New>(store);
    EXPECT_EQ(touches.value_or(-1), 2) << "older states can be read";
    const auto before = co_await inspect(store, id);
    const Result<std::int64_t> refused = co_await touch<Old>(store);
    EXPECT_FALSE(refused) << "it would have lost what it does not know";
    if (!refused) {
      EXPECT_EQ(refused.error().kind(), ErrorKind::unsupported);
      EXPECT_NE(refused.error().message().find("update"), std::string::npos)
          << refused.error().message();
    }
    const auto after = co_await inspect(store, id);
    EXPECT_TRUE(before && after && before->state == after->state);
    EXPECT_TRUE(after && !after->parked) << "it is no matter of the entity's";
    touches = co_await touch<New>(store);
    EXPECT_EQ(touches.value_or(-1), 3) << "the newer one goes on";
    touches = co_await touch<OldButCareless>(store);
    EXPECT_EQ(touches.value_or(-1), 4) << "on purpose";
    touches = co_await touch<Old>(store);
    EXPECT_EQ(touches.value_or(-1), 5);
  }

  template <class Old, class New, class OldButCareless>
  void expect_nothing_lost() {
    simulated_run(clock_, whole<Old, New, OldButCareless>());
  }
  static EntityId thing() { return {"thing", "t"}; }

  SimulatedClock clock_;
};

TEST_F(OlderProgram, leaves_a_state_with_more_fields_alone) {
  expect_nothing_lost<Thing<OldPlain>, Thing<NewPlain>, Careless<OldPlain>>();
}

TEST_F(OlderProgram, leaves_a_state_whose_elements_have_more_fields_alone) {
  expect_nothing_lost<Thing<Nested<OldItem>>, Thing<Nested<NewItem>>, Careless<Nested<OldItem>>>();
}

TEST_F(OlderProgram, leaves_a_document_with_more_members_alone) {
  expect_nothing_lost<Thing<OldDocument>, Thing<WiderDocument>, Careless<OldDocument>>();
}

TEST_F(OlderProgram, leaves_a_document_whose_elements_have_more_members_alone) {
  expect_nothing_lost<Thing<OldDocument>, Thing<NewDocument>, Careless<OldDocument>>();
}

}  // namespace
}  // namespace semper
