// Load: callers and publishers on durable servers of one small behaviour.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "semper/semper.h"

namespace semper::bench {

// Counts what it gets. Its state is a few bytes, its messages 100.
struct Meter {
  struct State {
    std::int64_t messages = 0;
    std::int64_t bytes = 0;
  };
  struct Put {
    std::string payload;
    using Reply = std::int64_t;
  };
  struct Read {
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Put, Read>;

  Result<State> init(const EntityId&) { return State{}; }
  Reply<std::int64_t> handle_call(const Put& put, State& state, Context&) {
    state.bytes += static_cast<std::int64_t>(put.payload.size());
    return ++state.messages;
  }
  Reply<std::int64_t> handle_call(const Read&, State& state, Context&) { return state.messages; }
  void handle_cast(const Put& put, State& state, Context& context);

  // Told of every cast, where set: the benchmark's own clock for wake-ups.
  std::function<void()> on_cast;
};

enum class Send { call, cast };

struct Load {
  Send send = Send::cast;
  std::size_t workers = 1;
  // Which entity a worker sends its n-th message to; entities are numbered.
  std::function<std::size_t(std::size_t worker, std::uint64_t n, Random& random)> choose;
  double seconds = 1;
  // Stop after as many messages, if not 0.
  std::uint64_t messages = 0;
};

struct LoadResult {
  double per_second = 0;
  std::uint64_t count = 0;
  std::vector<double> latencies_us;  // of a sample
};

std::string entity_name(std::size_t number);
std::string message_payload();

// Opens, or ends the program with the reason.
Store open_or_exit(const std::string& url);

// Every worker sends its next message when the last one is durable, and processed where this
// process serves the type. Runs on the scheduler.
LoadResult run_load(Scheduler& scheduler, const Store& store, const Load& load);

// One message to each of `count` entities, many at a time.
void fill(Scheduler& scheduler, const Store& store, std::size_t count);

}  // namespace semper::bench
