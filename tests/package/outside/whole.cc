// The counter of the first page: a durable server on a store, in a program that has nothing of
// Semper but the installed package.
#include <semper/semper.h>

#include <cstdint>
#include <iostream>
#include <string>

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

namespace {

semper::Task<int> count(std::string url) {
  auto store = co_await semper::open_store(url);
  semper::Host host(store);
  host.serve<Counter>();
  auto hits = semper::ref<Counter>(store, "page/home");
  const auto cast = co_await hits.cast(Counter::Add{2});
  const auto called = co_await hits.call(Counter::Add{});
  const auto read = co_await hits.call(Counter::Read{});
  if (!cast || !called || !read) {
    const semper::Error& error = !cast ? cast.error() : !called ? called.error() : read.error();
    std::cerr << error.to_string() << '\n';
    co_return 1;
  }
  std::cout << "the counter says " << *read << '\n';
  co_return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: whole STORE_URL\n";
    return 2;
  }
  return semper::run(count(argv[1]));
}
