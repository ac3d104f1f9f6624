// Names with several addresses, of which some do not answer: on loopback, in this process.
#include "durable/tcp_race.h"

#include <gtest/gtest.h>

#include <array>
#include <asio/use_future.hpp>
#include <filesystem>
#include <future>
#include <iterator>
#include <memory>
#include <optional>
#include <vector>

#include "semper/env/scheduler.h"

namespace semper {
namespace {

using namespace std::chrono_literals;
using asio::ip::tcp;

tcp::endpoint loopback(const char* address) {
  return {asio::ip::make_address(address), 0};
}

class Listener {
 public:
  explicit Listener(const char* address) : acceptor_(context_, loopback(address)) {}
  tcp::endpoint place() const { return acceptor_.local_endpoint(); }

 protected:
  asio::io_context context_;
  tcp::acceptor acceptor_;
};

// Its queue is full, so that the system drops whatever comes: nobody is answered.
class BlackHole {
 public:
  explicit BlackHole(const char* address) : acceptor_(context_) {
    const auto wanted = loopback(address);
    acceptor_.open(wanted.protocol());
    acceptor_.bind(wanted);
    acceptor_.listen(0);
    for (auto& filler : fillers_) {
      filler.emplace(context_);
      filler->async_connect(place(), [](std::error_code) {});
    }
    context_.poll();
  }
  tcp::endpoint place() const { return acceptor_.local_endpoint(); }

 private:
  asio::io_context context_;
  tcp::acceptor acceptor_;
  std::array<std::optional<tcp::socket>, 3> fillers_;
};

tcp::endpoint nobody(const char* address) {
  return Listener(address).place();
}

Async<tcp::socket> first_of(std::vector<tcp::endpoint> addresses) {
  return internal::connect_to_first(std::move(addresses), "two.test: connecting");
}

std::ptrdiff_t open_descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return std::distance(begin(all), end(all));
}

void run_until_the_second_is_tried(asio::io_context& loop) {
  loop.poll();
  const auto with_one = open_descriptors();
  while (open_descriptors() <= with_one) {
    loop.restart();
    loop.run_one_for(1s);
  }
}

TEST(TcpRace, an_address_that_never_answers_does_not_keep_from_the_others) {
  const BlackHole hole("127.0.0.2");
  const Listener there("127.0.0.1");
  Scheduler scheduler({.threads = 3});
  std::optional<Result<tcp::socket>> socket;
  auto connects = [&](std::vector<tcp::endpoint> addresses) -> Task<void> {
    socket.emplace(co_await first_of(std::move(addresses)));
  };
  auto connected =
      asio::co_spawn(scheduler.executor(), connects({hole.place(), hole.place(), there.place()}),
                     asio::use_future);
  // The system gives up after two minutes.
  ASSERT_EQ(connected.wait_for(20s), std::future_status::ready);
  ASSERT_TRUE(*socket) << socket->error().to_string();
  EXPECT_EQ((*socket)->remote_endpoint(), there.place());
}

TEST(TcpRace, an_address_that_refuses_is_followed_by_the_next_at_once) {
  const Listener there("127.0.0.1");
  Scheduler scheduler;
  const auto began = system_clock().now();
  const auto socket = scheduler.block_on(
      first_of({nobody("127.0.0.2"), nobody("127.0.0.3"), nobody("127.0.0.4"), there.place()}));
  ASSERT_TRUE(socket) << socket.error().to_string();
  EXPECT_EQ(socket->remote_endpoint(), there.place());
  EXPECT_LT(system_clock().now() - began, 3 * internal::kNextAddressAfter);
}

TEST(TcpRace, the_first_of_two_that_answer_is_used) {
  const Listener first("127.0.0.2"), second("127.0.0.1");
  Scheduler scheduler;
  const auto socket = scheduler.block_on(first_of({first.place(), second.place()}));
  ASSERT_TRUE(socket) << socket.error().to_string();
  EXPECT_EQ(socket->remote_endpoint(), first.place());
}

TEST(TcpRace, where_all_fail_the_error_names_an_address) {
  Scheduler scheduler;
  const auto socket = scheduler.block_on(first_of({nobody("127.0.0.2"), nobody("127.0.0.3")}));
  ASSERT_FALSE(socket);
  EXPECT_EQ(socket.error().to_string(),
            "io: two.test: connecting to 127.0.0.3: Connection refused (errno 111)");
}

TEST(TcpRace, one_that_is_cancelled_leaves_no_socket_behind) {
  const BlackHole hole("127.0.0.2");
  asio::io_context loop(1);
  std::optional<Result<tcp::socket>> socket;
  auto connects = [&](tcp::endpoint place) -> Task<void> {
    std::vector<tcp::endpoint> both(2, place);
    socket.emplace(co_await first_of(std::move(both)));
  };
  for (int round = 0; round < 2; ++round) {
    const auto before = open_descriptors();
    socket.reset();
    asio::cancellation_signal signal;
    loop.restart();
    asio::co_spawn(loop, connects(hole.place()),
                   asio::bind_cancellation_slot(signal.slot(), asio::detached));
    run_until_the_second_is_tried(loop);
    ASSERT_FALSE(socket);
    signal.emit(asio::cancellation_type::terminal);
    loop.restart();
    loop.run();
    ASSERT_TRUE(socket && !*socket);
    EXPECT_EQ(socket->error().kind(), ErrorKind::cancelled) << socket->error().to_string();
    // In the first round the loop has opened its own.
    if (round == 1) {
      EXPECT_EQ(open_descriptors(), before);
    }
  }
}

TEST(TcpRace, a_loop_that_is_destroyed_in_it_takes_it_along) {
  const BlackHole hole("127.0.0.2");
  const auto before = open_descriptors();
  {
    asio::io_context loop(1);
    auto connects = [](tcp::endpoint place) -> Task<void> {
      std::vector<tcp::endpoint> both(2, place);
      static_cast<void>(co_await first_of(std::move(both)));
    };
    asio::co_spawn(loop, connects(hole.place()), asio::detached);
    run_until_the_second_is_tried(loop);
  }
  EXPECT_EQ(open_descriptors(), before);
}

}  // namespace
}  // namespace semper
