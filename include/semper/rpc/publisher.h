// StatePublisher: a state that changes, and everybody who keeps a copy of it.
//
// What for: the server's side of a State RPC. When not: a stream with a source of its own for each
// caller; write a handler of server.h.
//
//   rpc::StatePublisher<Table, Row> prices(Table{}, [](Table& t, const Row& r) { t[r.name] = r; });
//   methods.streaming("/prices.Prices/Watch", prices.handler());
//   prices.publish({row});                            // applied here, then sent to all
//
// A caller gets the state, then each batch published after it, in order, whole. One that comes back
// goes on directly after the last batch it saw, as long as that is in the history; a slow one that
// falls out of the history is cut off (exhausted) and comes back for a new state. So memory is
// bounded by the history, whatever the callers do. A PipePublisher is the same without a state: one
// that comes anew begins with the next batch.
//
// The token of a batch is (epoch, number). The epoch is drawn at random, so that after a restart
// nobody goes on in another history; a program that keeps its own batches through restarts gives
// both itself.
//
// If the process dies, nothing is left here.
//
// Threads: everything from any thread. `apply` runs with the lock held: short, no calls back.
// Handles are copies; close() ends all streams in good order.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "semper/base/codec.h"
#include "semper/env/env.h"
#include "semper/env/one_shot.h"
#include "semper/rpc/server.h"

namespace semper::rpc {

struct PublisherOptions {
  Env env = Env();
  // Batches, and bytes of them, that are kept for those who come back or are slow.
  std::size_t history_batches = 1024;
  std::size_t history_bytes = std::size_t{16} << 20;
  // Which history this is; 0: drawn at random.
  std::uint64_t epoch = 0;
  // How many batches of it came before this publisher was made.
  std::uint64_t first_number = 0;
};

namespace internal {

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

}  // namespace internal

template <class S, class U>
class StatePublisher {
 public:
  using Apply = std::function<void(S&, const U&)>;

  StatePublisher(S state, Apply apply, const PublisherOptions& options = PublisherOptions())
      : core_(std::make_shared<internal::PublisherCore>(options)),
        kept_(std::make_shared<Kept>(std::move(state), std::move(apply))) {}

  void publish(const std::vector<U>& batch) {
    std::vector<Bytes> encoded;
    encoded.reserve(batch.size());
    for (const auto& update : batch) encoded.push_back(encode(update));
    core_->publish(std::move(encoded), [&] {
      for (const auto& update : batch) kept_->apply(kept_->state, update);
    });
  }

  // For Methods::streaming.
  Methods::Streaming handler() const {
    return [core = core_, kept = kept_](CallInfo, Bytes request, StreamWriter writer) {
      std::function<Bytes()> snapshot = [kept] { return encode(kept->state); };
      return internal::PublisherCore::serve(core, std::move(snapshot), std::move(request),
                                            std::move(writer));
    };
  }

  // Ends all streams, after what was published.
  void close() { core_->close(); }
  std::uint64_t published() const { return core_->published(); }

 private:
  struct Kept {
    Kept(S given, Apply how) : state(std::move(given)), apply(std::move(how)) {}
    S state;
    Apply apply;
  };
  std::shared_ptr<internal::PublisherCore> core_;
  std::shared_ptr<Kept> kept_;
};

template <class U>
class PipePublisher {
 public:
  explicit PipePublisher(const PublisherOptions& options = PublisherOptions())
      : core_(std::make_shared<internal::PublisherCore>(options)) {}

  void publish(const std::vector<U>& batch) {
    std::vector<Bytes> encoded;
    encoded.reserve(batch.size());
    for (const auto& update : batch) encoded.push_back(encode(update));
    core_->publish(std::move(encoded), nullptr);
  }
  Methods::Streaming handler() const {
    return [core = core_](CallInfo, Bytes request, StreamWriter writer) {
      return internal::PublisherCore::serve(core, nullptr, std::move(request), std::move(writer));
    };
  }
  void close() { core_->close(); }
  std::uint64_t published() const { return core_->published(); }

 private:
  std::shared_ptr<internal::PublisherCore> core_;
};

}  // namespace semper::rpc
