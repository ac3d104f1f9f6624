// semper-counter: counts how often it was run, in a store that kill -9 and power loss do not harm.
//
//   semper-counter                                  page/home 1
//   semper-counter                                  page/home 2
//   semper-counter sqlite:./hits.db page/about      page/about 1
#include <cstdint>
#include <iostream>
#include <string>
#include <utility>

#include "semper/env/standard_streams.h"
#include "semper/semper.h"

namespace {

struct Counter {
  using State = std::int64_t;
  struct Add {
    std::int64_t by = 1;
    using Reply = std::int64_t;
  };
  struct Read {
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Add, Read>;

  semper::Result<State> init(const semper::EntityId&) { return 0; }
  semper::Reply<std::int64_t> handle_call(const Add& m, State& s, semper::Context&) {
    return s += m.by;
  }
  semper::Reply<std::int64_t> handle_call(const Read&, State& s, semper::Context&) { return s; }
  void handle_cast(const Add& m, State& s, semper::Context&) { s += m.by; }
};

int explain(const semper::Error& error) {
  std::cerr << "semper-counter: " << error.message() << '\n';
  return 1;
}

semper::Task<int> count(std::string url, std::string page) {
  auto store = co_await semper::open_store(url);
  semper::Host host(store);
  host.serve<Counter>();
  // Only needed to process what others have put into the queue, `semper cast` for example.
  if (auto started = co_await host.start(); !started) co_return explain(started.error());

  auto hits = semper::ref<Counter>(store, page);
  const Counter::Add one{1};
  auto n = co_await hits.call(one);
  if (!n) co_return explain(n.error());
  std::cout << page << ' ' << *n << '\n';

  if (auto stopped = co_await host.stop(); !stopped) co_return explain(stopped.error());
  co_return 0;
}

}  // namespace

int main(int argc, char** argv) {
  semper::guard_standard_streams();
  if (argc > 3 || (argc > 1 && argv[1][0] == '-')) {
    std::cerr << "usage: semper-counter [STORE_URL] [ENTITY]     "
                 "(default: sqlite:./counter.db page/home)\n";
    return 2;
  }
  try {
    return semper::run(
        count(argc > 1 ? argv[1] : "sqlite:./counter.db", argc > 2 ? argv[2] : "page/home"));
  } catch (const semper::ErrorException& failed) {  // from Host: the store did not open
    return explain(failed.error());
  }
}
