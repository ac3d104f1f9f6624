// A table that changes, and a copy of it over a network that breaks.
//
//   semper-ticker serve [ADDRESS]      publishes it, by default on 127.0.0.1:7007
//   semper-ticker watch [ADDRESS]      keeps a copy, and prints what happens to its connection
//
// Stop the server with Ctrl-C and start it again: the watcher goes on.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "ticker.h"

namespace {

int serve(const std::string& address) {
  semper::Scheduler scheduler;
  ticker::Publisher prices = ticker::make_publisher();
  auto server = ticker::start_server(scheduler.executor(), prices, address);
  if (!server) {
    std::fprintf(stderr, "semper-ticker: %s\n", server.error().to_string().c_str());
    return 1;
  }
  std::printf("publishing on port %d\n", server->port());
  std::fflush(stdout);
  for (int tick = 0;; ++tick) {
    prices.publish({ticker::next_price(tick)});
    std::this_thread::sleep_for(std::chrono::milliseconds(250));
  }
}

int watch(const std::string& address) {
  semper::Scheduler scheduler;
  auto prices = ticker::watch(scheduler.executor(), address);
  ticker::Copy copy;
  while (auto event = scheduler.block_on(prices.next())) {
    std::printf("%s\n", copy.take(*event).c_str());
    std::fflush(stdout);
  }
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string role = argc > 1 ? argv[1] : "";
  const std::string address = argc > 2 ? argv[2] : "127.0.0.1:7007";
  if (role == "serve" && argc <= 3) return serve(address);
  if (role == "watch" && argc <= 3) return watch(address);
  std::fprintf(stderr, "usage: semper-ticker serve|watch [ADDRESS]\n");
  return 2;
}
