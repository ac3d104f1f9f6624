// A program on coroutines and clocks, without any store.
#include <iostream>

#include "semper/env/asio.h"
#include "semper/env/scheduler.h"

namespace {

semper::Task<int> program() {
  co_await semper::yield_now();
  std::cout << "ran\n";
  co_return 0;
}

}  // namespace

int main() {
  return semper::run(program());
}
