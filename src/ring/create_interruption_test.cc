// Making a ring, and looking at one, cut off at each await: either a ring or none is there, and it
// can be made and used.
#include <gmock/gmock.h>

#include "ring/interruption_test_support.h"
#include "semper/env/cancellation.h"

namespace semper::ring {
namespace {

using semper::testing::at_each_await;
using testing::Case;
using testing::Cut;

class RingCreationInterrupted : public ::testing::TestWithParam<Case> {
 protected:
  static CreateOptions options(Cut& world, Overwrite overwrite = Overwrite::blank_only) {
    CreateOptions chosen;
    chosen.format = GetParam().format;
    chosen.env = world.env();
    chosen.overwrite = overwrite;
    return chosen;
  }
  template <class Round>
  void at_each(Round round) {
    const auto tried = at_each_await([&](std::size_t steps) {
      SCOPED_TRACE("interrupted after " + std::to_string(steps) + " steps");
      Cut world(GetParam());
      return round(world, steps) && !HasFatalFailure();
    });
    EXPECT_GT(tried, 0u);
  }
  static void use(Cut& world) {
    world.attach();
    world.expect_in_order({"two", "three"});
  }
};

INSTANTIATE_TEST_SUITE_P(, RingCreationInterrupted, ::testing::ValuesIn(testing::all_cases()),
                         [](const auto& instance) { return testing::name_of(instance.param); });

TEST_P(RingCreationInterrupted, a_creation_can_be_done_again_without_a_word) {
  at_each([](Cut& world, std::size_t steps) {
    world.disk->overwrite(0, Bytes(256 << 10, '\0'));
    const auto outcome = world.cut(create(*world.producer_device, options(world)), steps);
    EXPECT_OK(world.loop.run(create(*world.producer_device, options(world))));
    use(world);
    return outcome.interrupted;
  });
}

TEST_P(RingCreationInterrupted, making_a_ring_anew_leaves_the_old_one_or_none_or_the_new_one) {
  at_each([](Cut& world, std::size_t steps) {
    world.attach();
    world.producer.reset();
    world.consumer.reset();
    const auto anew = options(world, Overwrite::also_a_ring);
    const auto outcome = world.cut(create(*world.producer_device, anew), steps);
    auto producer = world.loop.run(Producer::attach(*world.producer_device, world.options()));
    if (!producer) {
      EXPECT_THAT(producer.error().kind(),
                  ::testing::AnyOf(ErrorKind::not_found, ErrorKind::corrupt));
    }
    if (producer) {
      EXPECT_OK(world.loop.run(producer->detach()));
    }
    EXPECT_OK(world.loop.run(create(*world.producer_device, anew)));
    use(world);
    return outcome.interrupted;
  });
}

TEST_P(RingCreationInterrupted, looking_at_a_ring_changes_nothing) {
  at_each([](Cut& world, std::size_t steps) {
    world.attach();
    const auto look = [](Cut& at) -> Async<void> {
      BlockDevice& device = *at.consumer_device;
      const AttachOptions as_usual = at.options();
      const std::function<Status(const ItemView&)> visit = [](const ItemView&) { return Status(); };
      const std::function<Status(const Damage&)> damaged = [](const Damage& damage) {
        return fail(ErrorKind::corrupt, damage.why);
      };
      SEMPER_CO_TRY(const Position end, co_await read_all(device, visit, damaged, as_usual));
      EXPECT_GT(end, Position());
      SEMPER_CO_TRY_STATUS(not_cancelled(co_await asio::this_coro::cancellation_state));
      SEMPER_CO_TRY(const auto headers, co_await check_headers(device));
      EXPECT_TRUE(headers.empty());
      SEMPER_CO_TRY_STATUS(not_cancelled(co_await asio::this_coro::cancellation_state));
      SEMPER_CO_TRY(const std::string there, co_await contents(device));
      EXPECT_FALSE(there.empty());
      SEMPER_CO_TRY_STATUS(not_cancelled(co_await asio::this_coro::cancellation_state));
      SEMPER_CO_TRY(const bool blank, co_await is_blank(device));
      EXPECT_FALSE(blank);
      co_return Status{};
    };
    const auto outcome = world.cut(look(world), steps);
    world.expect_in_order({"two", "three"});
    return outcome.interrupted;
  });
}

}  // namespace
}  // namespace semper::ring
