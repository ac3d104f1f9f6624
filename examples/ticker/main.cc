// A table that changes, and a copy of it over a network that breaks.
//
//   semper-ticker serve [ADDRESS]      publishes it, by default on 127.0.0.1:7007
//   semper-ticker watch [ADDRESS]      keeps a copy, and prints what happens to its connection
//
// Stop the server with Ctrl-C and start it again: the watcher goes on. Both end in good order with
// Ctrl-C or SIGTERM.
#include <chrono>
#include <cstdio>
#include <string>
#include <utility>

#include "semper/env/standard_streams.h"
#include "semper/env/termination.h"
#include "ticker.h"

namespace {

using namespace std::chrono_literals;

constexpr char kUsage[] =
    "usage: semper-ticker serve|watch [ADDRESS]\n"
    "  serve   publishes a table of prices that changes four times a second\n"
    "  watch   keeps a copy of it, and prints what happens to its connection\n"
    "ADDRESS is HOST:PORT, by default 127.0.0.1:7007\n"
    "example: semper-ticker serve & semper-ticker watch\n";

int explain(const semper::Error& error) {
  std::fprintf(stderr, "semper-ticker: %s\n", error.to_string().c_str());
  return 1;
}

semper::Task<void> change_prices(ticker::Publisher& prices) {
  for (int tick = 0;; ++tick) {
    prices.publish({ticker::next_price(tick)});
    const auto slept = co_await semper::sleep_for(semper::system_clock(), 250ms);
    if (!slept) co_return;
  }
}

int serve(semper::Async<int> end, const std::string& address) {
  ticker::Publisher prices = ticker::make_publisher();
  semper::Scheduler scheduler;
  auto server = ticker::start_server(scheduler.executor(), prices, address);
  if (!server) return explain(server.error());
  std::printf("publishing on port %d\n", server->port());
  std::fflush(stdout);
  asio::co_spawn(scheduler.executor(), change_prices(prices), asio::detached);
  const auto asked = scheduler.block_on(std::move(end));
  prices.close();  // the streams end in good order
  server->shutdown(1s);
  if (!asked) return explain(asked.error());
  std::printf("stopped\n");
  return 0;
}

semper::Task<void> print_events(ticker::Prices& prices) {
  ticker::Copy copy;
  while (auto event = co_await prices.next()) {
    std::printf("%s\n", copy.take(*event).c_str());
    std::fflush(stdout);
  }
}

semper::Task<void> close_when_asked(semper::Async<int> end, ticker::Prices& prices) {
  const auto asked = co_await std::move(end);
  if (!asked) explain(asked.error());
  prices.close();
}

int watch(semper::Async<int> end, const std::string& address) {
  semper::Scheduler scheduler;
  auto prices = ticker::watch(scheduler.executor(), address);
  asio::co_spawn(scheduler.executor(), close_when_asked(std::move(end), prices), asio::detached);
  scheduler.block_on(print_events(prices));
  scheduler.block_on(prices.join());
  std::printf("stopped\n");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  semper::guard_standard_streams();
  const std::string role = argc > 1 ? argv[1] : "";
  const std::string address = argc > 2 ? argv[2] : "127.0.0.1:7007";
  if (role == "--help" || role == "-h") {
    std::fputs(kUsage, stdout);
    return 0;
  }
  auto end = semper::termination();  // from here on a signal is kept
  if (role == "serve" && argc <= 3) return serve(std::move(end), address);
  if (role == "watch" && argc <= 3) return watch(std::move(end), address);
  std::fputs(kUsage, stderr);
  return 2;
}
