// Runs a function for many values, several at a time, and waits for all of them.
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "semper/env/asio.h"
#include "semper/env/one_shot.h"

namespace packages {

struct ConcurrencyOptions {
  std::size_t at_once = 64;
};

// Calls `function(value)`, an Async<void>, for each value. The first error ends it: those under way
// are waited for, no other is started. Give the function a name first: g++ 12 destroys a lambda
// with captures twice if it is made within a co_await expression.
template <class T, class F>
semper::Async<void> for_each_concurrently(std::vector<T> values, F function,
                                          ConcurrencyOptions options = {}) {
  struct Shared {
    std::vector<T> values;
    F function;
    std::atomic<std::size_t> next{0};
    std::atomic<std::size_t> lanes;
    std::mutex mutex;
    semper::Status first_error;
    semper::OneShot<bool> all_done;

    Shared(std::vector<T> of, F with, std::size_t count)
        : values(std::move(of)), function(std::move(with)), lanes(count) {}
  };
  if (values.empty()) co_return semper::Status();
  const std::size_t lanes = std::min(options.at_once, values.size());
  auto shared = std::make_shared<Shared>(std::move(values), std::move(function), lanes);
  const auto lane = [](std::shared_ptr<Shared> of) -> semper::Task<void> {
    for (auto at = of->next++; at < of->values.size(); at = of->next++) {
      auto done = co_await of->function(of->values[at]);
      if (done) continue;
      of->next = of->values.size();
      std::lock_guard lock(of->mutex);
      if (of->first_error) of->first_error = std::move(done);
    }
    if (--of->lanes == 0) of->all_done.set(true);
  };
  const auto executor = co_await asio::this_coro::executor;
  for (std::size_t i = 0; i < lanes; ++i) asio::co_spawn(executor, lane(shared), asio::detached);
  SEMPER_CO_TRY_STATUS(co_await shared->all_done.wait());
  co_return shared->first_error;
}

}  // namespace packages
