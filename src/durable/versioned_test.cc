#include "semper/durable/versioned.h"

#include <gtest/gtest.h>

#include <string>

#include "durable/stream_test_support.h"
#include "semper/testing/simulated_run.h"

namespace semper::durable_test {
namespace {

using stream::Version;
using testing::simulated_run;
using testing::SimulatedClock;

// What the reader gets: text. What the versions speak: numbers.
using Texts = stream::Versioned<std::string, std::string, int>;
using Wire = StateStream<int, int, int>;

Result<std::string> text_of(int update) {
  if (update == 2) return fail(ErrorKind::corrupt, "two has no text");
  if (update == 3) throw std::runtime_error("three throws");
  return "v" + std::to_string(update);
}

std::string shown_texts(const Texts::Stream::Event& event) {
  if (const auto* state = std::get_if<stream::State<std::string>>(&event)) return state->state;
  if (const auto* batch = std::get_if<stream::UpdateBatch<Result<std::string>>>(&event)) {
    std::string text;
    for (const auto& update : batch->updates) {
      text += (text.empty() ? "" : ",");
      text += update ? *update : std::string(to_string(update.error().kind()));
    }
    return "[" + text + "]";
  }
  return std::visit(
      [](const auto& other) -> std::string {
        if constexpr (std::is_invocable_v<Shown, decltype(other)>) return Shown()(other);
        return "";
      },
      event);
}

struct VersionedSide {
  SimulatedClock clock;
  StreamOptions options;
  std::vector<Version> menu;
  std::vector<std::vector<Version>> menus;  // one after the other, before `menu`
  std::size_t asked = 0;
  ScriptedServer first{clock, "c:123.stay"};
  ScriptedServer second{clock, "c:45.stay"};

  Texts texts() {
    options.env.clock = &clock;
    Texts versioned([this]() -> Async<std::vector<Version>> {
      if (asked < menus.size()) menu = menus[asked++];
      if (menu.empty()) co_return fail(ErrorKind::io, "no menu");
      co_return menu;
    });
    auto state_of = [](int state) { return "state " + std::to_string(state); };
    versioned.add(1, first.dispatcher<Wire::Connection>(), text_of, state_of);
    versioned.add(4, second.dispatcher<Wire::Connection>(), text_of, state_of);
    return versioned;
  }

  std::string read(int events) {
    return simulated_run(clock, [this, events]() -> Task<std::string> {
      auto stream = Texts::Stream::create(co_await asio::this_coro::executor, texts(), options);
      std::string seen;
      for (int i = 0; i < events; ++i) {
        auto event = co_await stream.next();
        seen += (seen.empty() ? "" : " ");
        seen += event ? shown_texts(*event) : event.error().to_string();
      }
      co_await stream.join();
      co_return seen;
    }());
  }
};

TEST(Versioned, the_highest_common_version_is_chosen_whatever_the_order) {
  EXPECT_EQ(stream::highest_common_version({1, 2, 4}, {5, 2, 1}), Version{2});
  EXPECT_EQ(stream::highest_common_version({4, 1}, {1, 4}), Version{4});
  const auto none = stream::highest_common_version({1, 2}, {3});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind(), ErrorKind::unsupported);
  EXPECT_NE(none.error().message().find("1, 2"), std::string::npos);
  EXPECT_NE(none.error().message().find("3"), std::string::npos);
  EXPECT_FALSE(stream::highest_common_version({}, {}));
}

TEST(Versioned, the_highest_common_version_is_dispatched) {
  VersionedSide side;
  side.menu = {1, 4, 9};
  EXPECT_EQ(side.read(4), "try up(1) state 100 [v4,v5]");
}

TEST(Versioned, a_conversion_that_fails_is_the_error_of_that_update_alone) {
  VersionedSide side;
  side.menu = {1};
  EXPECT_EQ(side.read(4), "try up(1) state 100 [v1,corrupt,internal]");
}

TEST(Versioned, no_common_version_is_tried_again_until_the_other_side_is_upgraded) {
  VersionedSide side;
  side.menus = {{2, 3}, {2}, {2, 4}};
  EXPECT_EQ(side.read(7), "try failed(unsupported) try failed(unsupported) try up(1) state 100");
}

TEST(Versioned, no_common_version_ends_the_stream_where_the_options_call_it_permanent) {
  VersionedSide side;
  side.menu = {2, 3};
  side.options.is_permanent = is_permanent_error;
  EXPECT_EQ(side.read(3),
            "try failed(unsupported) unsupported: no version in common: we speak 1, 4; the other "
            "side speaks 2, 3");
}

TEST(Versioned, a_menu_that_fails_is_told_by_its_kind_and_is_tried_again) {
  VersionedSide side;
  EXPECT_EQ(side.read(4), "try failed(io) try failed(io)");
}

TEST(Versioned, over_a_durable_menu_and_dispatch_use_the_same_connection) {
  using OnChannel = stream::Versioned<stream::NoState, int, int, std::string>;
  using WirePipe = PipeStream<int, int>;
  SimulatedClock clock;
  int open = 0;
  std::string used;
  simulated_run(clock, [&]() -> Task<void> {
    auto channel = Durable<std::string>::create([]() -> Async<std::string> { co_return "channel"; },
                                                [](const std::string&) { return false; });
    OnChannel versioned([&](std::string& on) -> Async<std::vector<Version>> {
      used += "menu of " + on + "; ";
      co_return std::vector<Version>{1};
    });
    auto dispatch = [&](std::string& on, stream::DispatchRequest) -> Async<WirePipe::Connection> {
      used += "dispatch on " + on;
      co_return WirePipe::Connection(std::make_unique<ScriptedSource>(clock, "1.stay", open), 3);
    };
    versioned.add(1, dispatch, [](int update) { return update + 1; });
    StreamOptions options;
    options.env.clock = &clock;
    const auto executor = co_await asio::this_coro::executor;
    auto stream = OnChannel::Stream::create(executor, channel, versioned, options);
    for (int i = 0; i < 2; ++i) static_cast<void>(co_await stream.next());
    auto event = co_await stream.next();
    EXPECT_TRUE(event);
    auto* batch = event ? std::get_if<stream::UpdateBatch<Result<int>>>(&*event) : nullptr;
    EXPECT_TRUE(batch != nullptr && batch->updates.at(0) == 2);
    co_await stream.join();
  }());
  EXPECT_EQ(used, "menu of channel; dispatch on channel");
  EXPECT_EQ(open, 0);
}

}  // namespace
}  // namespace semper::durable_test
