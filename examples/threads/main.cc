// semper-threads: a durable server and its callers without a coroutine.
//
//   semper-threads serve [STORE_URL]     serves until Ctrl-C or SIGTERM, then ends in order
//   semper-threads visit [STORE_URL]     eight threads visit ten times each; a server must run
//
// Kill the server with kill -9 while they visit, start it again: no visit is lost or counted twice.
// STORE_URL is sqlite:./visits.db by default.
#include <chrono>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "semper/env/standard_streams.h"
#include "semper/sync.h"
#include "visits.h"

namespace {

using namespace std::chrono_literals;

constexpr auto kStopTime = 10s;
constexpr auto kCallTime = 30s;  // a host that was killed is missed after 3 s

int explain(const semper::Error& error) {
  std::cerr << "semper-threads: " << error.message() << '\n';
  return 1;
}

semper::Status serve(const std::string& url) {
  semper::sync::Termination end;  // first: from here on a signal is kept
  SEMPER_TRY(auto store, semper::sync::open_store(url));
  semper::sync::Host host(store);
  host.serve<threads::Visits>();
  SEMPER_TRY_STATUS(host.start());
  std::cout << "serving" << std::endl;
  SEMPER_TRY_STATUS(end.wait());
  // The second signal ends the process, should this hang.
  SEMPER_TRY_STATUS(host.stop(kStopTime));
  SEMPER_TRY_STATUS(store.close(kStopTime));
  std::cout << "stopped" << std::endl;
  return {};
}

semper::Status visit(const std::string& url) {
  SEMPER_TRY(auto store, semper::sync::open_store(url));
  std::vector<std::thread> visitors;
  for (int i = 0; i < 8; ++i) {
    visitors.emplace_back([&store, name = "visitor " + std::to_string(i)] {
      auto house = semper::sync::ref<threads::Visits>(store, "house");
      for (int n = 0; n < 10; ++n) {
        const auto count = house.call(threads::Visits::Come{name}, kCallTime);
        if (!count) explain(count.error());
      }
    });
  }
  for (auto& visitor : visitors) visitor.join();
  auto house = semper::sync::ref<threads::Visits>(store, "house");
  SEMPER_TRY(const auto count, house.call(threads::Visits::Come{"the last one"}, kCallTime));
  std::cout << count << " visits" << std::endl;
  return store.close(kStopTime);
}

}  // namespace

int main(int argc, char** argv) {
  semper::guard_standard_streams();
  const std::string role = argc > 1 ? argv[1] : "";
  if (argc > 3 || (role != "serve" && role != "visit")) {
    std::cerr
        << "usage: semper-threads serve|visit [STORE_URL]     (default: sqlite:./visits.db)\n";
    return 2;
  }
  const std::string url = argc > 2 ? argv[2] : "sqlite:./visits.db";
  const auto done = role == "serve" ? serve(url) : visit(url);
  return done ? 0 : explain(done.error());
}
