// A state that is published, and a copy of it over a durable channel, in a program that has nothing
// of Semper but the installed package.
#include <semper/env/scheduler.h>
#include <semper/rpc/publisher.h>
#include <semper/rpc/server.h>
#include <semper/rpc/subscribe.h>

#include <iostream>
#include <string>

namespace {

using Sums = semper::StateStream<int, int>;
using semper::stream::State;
using semper::stream::UpdateBatch;

semper::Task<int> follow(semper::Executor executor, std::string address) {
  auto channel = semper::rpc::durable_channel({.address = address});
  auto sums = Sums::create(executor, channel, semper::rpc::subscribe<Sums>("/outside.Sums/Watch"));
  int sum = 0;
  while (sum < 3) {
    auto event = co_await sums.next();
    if (!event) co_return -1;
    if (const auto* state = std::get_if<State<int>>(&*event)) sum = state->state;
    if (const auto* batch = std::get_if<UpdateBatch<int>>(&*event)) {
      for (const int more : batch->updates) sum += more;
    }
  }
  sums.close();
  co_return sum;
}

}  // namespace

int main() {
  semper::Scheduler scheduler;
  semper::rpc::StatePublisher<int, int> sums(1, [](int& sum, const int& more) { sum += more; });
  semper::rpc::Methods methods;
  methods.streaming("/outside.Sums/Watch", sums.handler());
  auto server = semper::rpc::Server::start(methods, {.executor = scheduler.executor()});
  if (!server) {
    std::cerr << server.error().to_string() << '\n';
    return 1;
  }
  sums.publish({2});
  const std::string address = "127.0.0.1:" + std::to_string(server->port());
  const int sum = scheduler.block_on(follow(scheduler.executor(), address));
  std::cout << "the sum is " << sum << '\n';
  return sum == 3 ? 0 : 1;
}
