// What publisher.h does, with the types of state and updates forgotten.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <variant>
#include <vector>

#include "semper/base/bytes.h"
#include "semper/env/one_shot.h"
#include "semper/rpc/frame.h"
#include "semper/rpc/publisher_options.h"
#include "semper/rpc/server.h"

namespace semper::rpc::internal {

class PublisherCore {
 public:
  explicit PublisherCore(const PublisherOptions& options);

  // `apply` runs with the lock held, before anybody hears of the batch.
  void publish(std::vector<Bytes> batch, const std::function<void()>& apply);
  void close();
  std::uint64_t published() const;

  // Serves one caller to its end. `snapshot` runs with the lock held; null: there is no state.
  static Async<void> serve(std::shared_ptr<PublisherCore> core, std::function<Bytes()> snapshot,
                           Bytes request, StreamWriter writer);

 private:
  using Batch = std::shared_ptr<const std::vector<Bytes>>;
  Bytes token(std::uint64_t number) const;
  // The number of batches that the caller has; nothing where it cannot go on.
  std::optional<std::uint64_t> position_of(const std::optional<Bytes>& token) const;
  StreamFrame begin(const StreamRequest& request, const std::function<Bytes()>& snapshot,
                    std::uint64_t& position) const;
  std::map<std::uint64_t, OneShot<std::monostate>> take_waiters();
  // Until there is more than was sent, or the publisher is closed.
  static Async<void> wait_for_more(PublisherCore& core, std::uint64_t position);

  const PublisherOptions options_;
  std::uint64_t epoch_;
  mutable std::mutex mutex_;
  std::deque<Batch> history_;
  std::size_t history_bytes_ = 0;
  std::uint64_t published_;  // the number of the last batch in history_
  std::map<std::uint64_t, OneShot<std::monostate>> waiters_;  // one for each caller that waits
  std::uint64_t last_waiter_ = 0;
  bool closed_ = false;
};

}  // namespace semper::rpc::internal
