// A table that changes, and a copy of it over a network that breaks.
//
//   semper-ticker serve [ADDRESS]      publishes it, by default on 127.0.0.1:7007
//   semper-ticker watch [ADDRESS]      keeps a copy, and prints what happens to its connection
//
// Stop the server with Ctrl-C and start it again: the watcher goes on. Both end in good order with
// Ctrl-C or SIGTERM.
#include <pthread.h>
#include <signal.h>

#include <chrono>
#include <cstdio>
#include <string>
#include <thread>

#include "ticker.h"
#include "semper/env/standard_streams.h"

namespace {

using namespace std::chrono_literals;

constexpr char kUsage[] =
    "usage: semper-ticker serve|watch [ADDRESS]\n"
    "  serve   publishes a table of prices that changes four times a second\n"
    "  watch   keeps a copy of it, and prints what happens to its connection\n"
    "ADDRESS is HOST:PORT, by default 127.0.0.1:7007\n"
    "example: semper-ticker serve & semper-ticker watch\n";

// SIGINT and SIGTERM, held back from all threads and taken by the one that asks.
class EndSignals {
 public:
  // Before the first thread is started.
  EndSignals() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGINT);
    sigaddset(&signals_, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  }
  // True where one came within that time.
  bool wait_for(std::chrono::milliseconds time) const {
    const timespec limit{time.count() / 1000, time.count() % 1000 * 1'000'000};
    return sigtimedwait(&signals_, nullptr, &limit) > 0;
  }
  void wait() const { sigwaitinfo(&signals_, nullptr); }

 private:
  sigset_t signals_{};
};

int serve(const EndSignals& end, const std::string& address) {
  semper::Scheduler scheduler;
  ticker::Publisher prices = ticker::make_publisher();
  auto server = ticker::start_server(scheduler.executor(), prices, address);
  if (!server) {
    std::fprintf(stderr, "semper-ticker: %s\n", server.error().to_string().c_str());
    return 1;
  }
  std::printf("publishing on port %d\n", server->port());
  std::fflush(stdout);
  for (int tick = 0; !end.wait_for(250ms); ++tick) prices.publish({ticker::next_price(tick)});
  prices.close();  // the streams end in good order
  server->shutdown(1s);
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

int watch(const EndSignals& end, const std::string& address) {
  semper::Scheduler scheduler;
  auto prices = ticker::watch(scheduler.executor(), address);
  std::thread closer([&] {
    end.wait();
    prices.close();
  });
  scheduler.block_on(print_events(prices));
  closer.join();
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
  const EndSignals end;
  if (role == "serve" && argc <= 3) return serve(end, address);
  if (role == "watch" && argc <= 3) return watch(end, address);
  std::fputs(kUsage, stderr);
  return 2;
}
