// StatePublisher: publishes a changing state to everybody who keeps a copy of it.
//
// What for: the server's side of a State RPC. When not: a stream with a separate source for each
// caller; write a handler (server.h).
//
//   rpc::StatePublisher<Table, Row> prices(Table{}, [](Table& t, const Row& r) { t[r.name] = r; });
//   methods.streaming("/prices.Prices/Watch", prices.handler());
//   prices.publish({row});                            // applied here, then sent to all
//
// A caller gets the state, then each batch published after it, in order and complete. A caller that
// reconnects continues directly after the last batch it saw, as long as that is in the history. A
// slow caller that falls out of the history is cut off (exhausted), and reconnects for a new state.
// So the history bounds the memory, whatever the callers do. A PipePublisher is the same without a
// state: a new caller starts with the next batch.
//
// The token of a batch is (epoch, number). The epoch is random, so that after a restart nobody
// continues in a different history; a program that keeps its batches across restarts sets both
// itself.
//
// If the process dies, nothing is left.
//
// If `apply` throws, publish() passes that on. A part of the batch may then be in the state, so all
// callers are cut off, and get the state when they reconnect.
//
// Threads: everything from any thread. `apply` runs with the lock held: keep it short, and do not
// call back. Copies are handles to the same publisher; close() ends all streams cleanly.
#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "semper/base/codec.h"
#include "semper/rpc/internal/publisher_core.h"
#include "semper/rpc/publisher_options.h"
#include "semper/rpc/server.h"

namespace semper::rpc {

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

  // Ends all streams, after everything published has been sent.
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
