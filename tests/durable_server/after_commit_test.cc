// Context::after_commit: what runs in the process once the callback's transaction has committed.
#include <mutex>

#include "behaviours.h"
#include "world.h"

namespace semper::testing {
namespace {

SERVER_SUITE(AfterCommits);

class Heard {
 public:
  void add(std::string what) {
    std::lock_guard lock(mutex_);
    all_.push_back(std::move(what));
  }
  std::vector<std::string> all() const {
    std::lock_guard lock(mutex_);
    return all_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> all_;
};

struct Bell {
  using State = std::int64_t;
  struct Ring {
    bool fails = false;
    bool halts = false;
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Ring>;

  explicit Bell(std::shared_ptr<Heard> where) : heard(std::move(where)) {}

  Result<State> init(const EntityId&) { return 0; }
  Reply<std::int64_t> handle_call(const Ring& m, State& s, Context& context) {
    help(m, ++s, context);
    if (m.fails) throw std::runtime_error("the rope broke");
    return Reply<std::int64_t>(s).then([to = heard](const State&) { to->add("action"); });
  }
  void handle_cast(const Ring& m, State& s, Context& context) { help(m, ++s, context); }
  void handle_info(const Ring& m, State& s, Context& context) { help(m, ++s, context); }

  // What a callback calls, and which returns nothing.
  void help(const Ring& m, std::int64_t count, Context& context) const {
    context.after_commit([to = heard, count] { to->add("first " + std::to_string(count)); });
    context.after_commit([to = heard, halts = m.halts] {
      to->add("second");
      return halts ? ActionFlow::halt : ActionFlow::go_on;
    });
    auto only_moved = std::make_unique<std::string>("third");
    context.after_commit([to = heard, what = std::move(only_moved)] { to->add(*what); });
  }

  std::shared_ptr<Heard> heard;
};

SERVER_TEST(AfterCommits, run_once_in_order_before_the_actions_of_the_reply) {
  auto heard = std::make_shared<Heard>();
  auto& server = *co_await world.serve<Bell>(std::make_shared<Bell>(heard));
  auto bell = world.ref<Bell>("b");
  must(co_await bell.call<Bell::Ring>());
  co_await world.eventually([&] { return heard->all().size() == 4; });
  EXPECT_EQ(heard->all(), list("first 1", "second", "third", "action"));
  const auto at_home = [&]() -> Task<void> {
    auto here = server.ref<Bell>("b");
    must(co_await here.cast<Bell::Ring>());
    must(co_await here.info<Bell::Ring>());
  };
  co_await server.run(at_home());
  co_await world.eventually([&] { return heard->all().size() == 10; });
  EXPECT_EQ(heard->all().at(4), "first 2");
  EXPECT_EQ(heard->all().at(7), "first 3");
}

SERVER_TEST(AfterCommits, one_that_halts_ends_the_rest_of_its_callbacks_and_of_no_other) {
  auto heard = std::make_shared<Heard>();
  co_await world.serve<Bell>(std::make_shared<Bell>(heard));
  auto bell = world.ref<Bell>("b");
  must(co_await bell.call<Bell::Ring>(false, true));
  must(co_await bell.call<Bell::Ring>());
  co_await world.eventually([&] { return heard->all().size() == 6; });
  EXPECT_EQ(heard->all(), list("first 1", "second", "first 2", "second", "third", "action"));
}

SERVER_TEST(AfterCommits, none_runs_where_the_callback_threw) {
  auto heard = std::make_shared<Heard>();
  co_await world.serve<Bell>(std::make_shared<Bell>(heard));
  auto bell = world.ref<Bell>("b");
  EXPECT_EQ(must_fail(co_await bell.call<Bell::Ring>(true, false)).kind(), ErrorKind::internal);
  must(co_await bell.call<Bell::Ring>());
  co_await world.eventually([&] { return heard->all().size() == 4; });
  EXPECT_EQ(heard->all(), list("first 1", "second", "third", "action"));
}

}  // namespace
}  // namespace semper::testing
