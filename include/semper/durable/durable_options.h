// DurableOptions: how a Durable builds, whom it serves, and when it gives up. WithOptions: the same
// of one with().
//
// What for: durable.h and pool.h. When not: streams; StreamOptions (stream_options.h).
//
//   semper::DurableOptions<Session> options;
//   options.name = "billing";
//   options.access = semper::Access::exclusive;
//   options.with = semper::WithOptions{.deadline = 5s, .when_down = semper::WhenDown::wait};
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "semper/base/metrics.h"
#include "semper/base/result.h"
#include "semper/durable/retry.h"
#include "semper/env/env.h"

namespace semper {

// Whether the next value may be built while an old one is still there: in an f that has not
// returned, or in an attempt that was given up and has not ended.
enum class Overlap : std::uint8_t {
  // Yes: an f that hangs on a dead connection holds nobody up. An old value that nobody uses is
  // disposed of before the next one is built in any case.
  allowed,
  // No, for what only one may hold (an advisory lock, a client id): the attempt waits until the old
  // value is disposed of, at most until attempt_deadline. So an f must not call `with` on the value
  // that it uses.
  never,
};

// How many may use the value at once.
enum class Access : std::uint8_t {
  // Any number: for what sorts out its answers by itself (a gRPC channel, an HTTP/2 session).
  // is_broken runs while f of others work on the value, on any thread.
  shared,
  // One f at a time, first come, first served: for a protocol of questions and answers on one line.
  // Nothing else runs on the value meanwhile, is_broken and the probe included. What an f leaves in
  // the middle breaks the value: one that is cancelled or destroyed before its end, passes the
  // deadline of its `with`, throws, or returns an error that breaks_on. An f must not call `with`
  // on the same Durable: it would wait for itself.
  exclusive,
};

// What a `with` does where there is no intact value.
enum class WhenDown : std::uint8_t {
  // It makes one attempt, or joins the one under way, and fails with its error. Is a pause on after
  // earlier failures (RetryOptions), the attempt is the one that follows the pause.
  attempt,
  // The same, but in a pause it fails at once with `retry`.
  fail,
  // It waits, through pauses and attempts that fail, until there is a value or the deadline has
  // passed. What no waiting mends is an error at once: closed, a permanent error, attempt_limit.
  wait,
};

// Of one with(); DurableOptions::with is for those without their own.
struct WithOptions {
  // How long all of it may take: the turn, the attempt, f. Default: for ever. Passed before f
  // began: `timeout`. Passed while f runs: f is cancelled, its end is waited for, and where it does
  // not succeed all the same, the error is `outcome_unknown`. An f that is no coroutine is not
  // stopped.
  Duration deadline = kForever;
  WhenDown when_down = WhenDown::attempt;
};

template <class T>
struct DurableOptions {
  // Stands in messages and log lines, and as the label `name` of metrics.
  std::string name = "durable value";
  Env env = Env();
  // Where attempts run. Default: the executor of the `with` that begins one. Set it where that may
  // go away before others who wait, and for values that are bound to an executor themselves
  // (sockets of Asio's).
  Executor executor = Executor();
  Access access = Access::shared;
  WithOptions with = WithOptions();
  // How long one attempt may take; then it is cancelled and its callers get `timeout`, also while
  // the builder blocks its thread. Default: for ever, as long as the builder likes.
  Duration attempt_deadline = kForever;
  // Pauses between attempts that fail, and after values that break before they were of use; see
  // retry.h. Default: 50 ms to 10 s, with jitter. nullopt: none, each `with` on a broken value is
  // an attempt at once.
  std::optional<RetryOptions> retry = RetryOptions();
  // Failures in a row after which nothing is attempted until reset(). Default 0: no limit.
  std::uint32_t attempt_limit = 0;
  // Errors after which nothing is attempted until reset(); see is_permanent_error. Default: none.
  // If it throws, that is logged, and the error is not permanent.
  std::function<bool(const Error&)> is_permanent = nullptr;
  // Errors of f after which the value is broken: `true` is as invalidate() with the value that f
  // used. Default: with exclusive access is_connection_error, otherwise none but the system errors
  // that f throws (Asio's), where they are connection errors. If it throws, that is logged, and the
  // value is broken.
  std::function<bool(const Error&)> breaks_on = nullptr;
  // Whether a new value may be built beside an old one that is in use. Default: it may.
  Overlap overlap = Overlap::allowed;
  // After this time a value is built anew at its next use, whatever is_broken says: for servers,
  // proxies and passwords that end what is old. Up to a tenth sooner, by chance, so that many do
  // not end together. Default: never.
  Duration max_lifetime = kForever;
  // Eager repair: build at once, look again this often, and build again what is broken without
  // waiting for a `with`. Needs `executor`. Default: none, all is lazy.
  std::optional<Duration> repair_every = std::nullopt;
  // Asked about a value that is_broken calls intact; an error means that it is broken after all.
  // When: with eager repair each time it looks, and see probe_after_idle. Bounded by
  // attempt_deadline.
  std::function<Async<void>(T&)> probe = nullptr;
  // With exclusive access: a value that nobody used for so long is probed before the next f, so
  // that f does not meet what a firewall has dropped meanwhile. Needs `probe`. Default: never.
  Duration probe_after_idle = kForever;
  // Called once for each value that was replaced, dropped or closed, when nobody uses it any more,
  // on the thread of the last user. Not for a value that a to_rebuild took over with success. What
  // it throws is logged.
  std::function<void(T&)> dispose = nullptr;
  // Callers that wait: for one attempt, for the end of a pause, for their turn, at most so many
  // each; more get `retry`.
  std::size_t max_waiters = 100'000;
  // Counts attempts, and intact values of that name. Must outlive the last handle.
  metrics::Registry* metrics = nullptr;
};

struct DurableStatistics {
  std::uint64_t calls = 0;      // of with()
  std::uint64_t attempts = 0;   // begun, to create or to rebuild
  std::uint64_t created = 0;    // attempts that gave an intact value, by to_create
  std::uint64_t rebuilt = 0;    // and by to_rebuild
  std::uint64_t failed = 0;     // attempts that gave an error, a broken value, or nothing in time
  std::uint64_t abandoned = 0;  // of those: passed their deadline, or were under way at close()
  std::uint64_t breaks = 0;     // intact values found broken
  std::uint64_t waiting = 0;    // callers that wait for an attempt, or for the end of a pause, now
  std::uint64_t waiting_for_turn = 0;  // callers that wait until others are done (exclusive), now
  std::uint64_t failures_in_a_row = 0;
  bool intact = false;              // as published last
  std::optional<Error> last_error;  // of the last attempt that failed
  Duration last_attempt{};          // how long the last one took
};

}  // namespace semper
