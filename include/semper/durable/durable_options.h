// DurableOptions: how a Durable builds its value, who may use it, and when it gives up.
// WithOptions: options of one with().
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

// Whether the next value may be built while an old one still exists: in an f that has not returned,
// or in an abandoned attempt that has not ended.
enum class Overlap : std::uint8_t {
  // Yes: an f that hangs on a dead connection does not hold up others. In any case, an old value
  // that nobody uses is disposed of before the next one is built.
  allowed,
  // No, for exclusive resources (an advisory lock, a client id): the attempt waits until the old
  // value is disposed of, at most until attempt_deadline. So an f must not call `with` on the value
  // that it uses.
  never,
};

// How many callers may use the value at once.
enum class Access : std::uint8_t {
  // Any number: for values that match answers to requests themselves (a gRPC channel, an HTTP/2
  // session). is_broken runs on any thread, even while other callers' f use the value.
  shared,
  // One f at a time, first come, first served: for a protocol with one request and one answer at a
  // time. Nothing else runs on the value meanwhile, not even is_broken or the probe. An f that
  // stops halfway breaks the value: if it is cancelled or destroyed before its end, passes the
  // deadline of its `with`, throws, or returns an error that breaks_on selects. An f must not call
  // `with` on the same Durable: it would wait for itself.
  exclusive,
};

// What a `with` does if there is no intact value.
enum class WhenDown : std::uint8_t {
  // It makes one attempt, or joins the one in progress, and fails with its error. During a pause
  // after earlier failures (RetryOptions), it waits for the attempt that follows the pause.
  attempt,
  // The same, but during a pause it fails at once with `retry`.
  fail,
  // It waits, through pauses and failed attempts, until there is a value or the deadline passes.
  // Errors that waiting cannot fix are returned at once: closed, a permanent error, attempt_limit.
  wait,
};

// Options of one with(); DurableOptions::with is the default.
struct WithOptions {
  // How long everything may take: the turn, the attempt and f. Default: forever. If it passes
  // before f begins: `timeout`. If it passes while f runs: f is cancelled, `with` waits until it
  // ends, and unless f succeeds anyway, the error is `outcome_unknown`. An f that is not a
  // coroutine is not stopped.
  Duration deadline = kForever;
  WhenDown when_down = WhenDown::attempt;
};

template <class T>
struct DurableOptions {
  // Used in messages and log lines, and as the label `name` of metrics.
  std::string name = "durable value";
  Env env = Env();
  // Where attempts run. Default: the executor of the `with` that begins one. Set it if that
  // executor may go away while others still wait, and for values that are themselves bound to an
  // executor (Asio's sockets). An f runs on its caller's executor all the same. If that is of
  // another loop, which may be destroyed in the middle of f, f must not wait there for such a
  // socket: Asio would resume it on a loop that is gone. TcpConnection (tcp.h) takes care of that
  // by itself; with a socket of your own, run the operation on the socket's executor, and let f
  // wait for a OneShot.
  Executor executor = Executor();
  Access access = Access::shared;
  WithOptions with = WithOptions();
  // How long one attempt may take; then it is cancelled and its callers get `timeout`, even while
  // the builder blocks its thread. Default: forever.
  Duration attempt_deadline = kForever;
  // Pauses between failed attempts, and after values that break before they were useful; see
  // retry.h. Default: 50 ms to 10 s, with jitter. nullopt: none; each `with` on a broken value
  // makes an attempt at once.
  std::optional<RetryOptions> retry = RetryOptions();
  // Failures in a row after which nothing is attempted until reset(). Default 0: no limit.
  std::uint32_t attempt_limit = 0;
  // Errors after which nothing is attempted until reset(); see is_permanent_error. Default: none.
  // If it throws, that is logged, and the error is not permanent.
  std::function<bool(const Error&)> is_permanent = nullptr;
  // Errors of f after which the value is broken: `true` has the effect of invalidate() with the
  // value that f used. Default: with exclusive access, is_connection_error; otherwise only system
  // errors that f throws (Asio's), if they are connection errors. If it throws, that is logged, and
  // the value is broken.
  std::function<bool(const Error&)> breaks_on = nullptr;
  // Whether a new value may be built while an old one is in use. Default: it may.
  Overlap overlap = Overlap::allowed;
  // After this time a value is rebuilt at its next use, whatever is_broken says: for servers,
  // proxies and passwords that expire old connections. Up to a tenth sooner, at random, so that
  // many values do not expire together. Default: never.
  Duration max_lifetime = kForever;
  // Eager repair: build at once, check this often, and rebuild a broken value without waiting for a
  // `with`. Needs `executor`. Default: none; everything is lazy.
  std::optional<Duration> repair_every = std::nullopt;
  // Probes a value that is_broken calls intact; an error means that it is broken after all. It runs
  // at each check of eager repair; see also probe_after_idle. Bounded by attempt_deadline.
  std::function<Async<void>(T&)> probe = nullptr;
  // With exclusive access: a value that was unused for this long is probed before the next f, so
  // that f does not meet a connection that a firewall has dropped. Needs `probe`. Default: never.
  Duration probe_after_idle = kForever;
  // Called once for each value that was replaced, dropped or closed, when nobody uses it any more,
  // on the thread of the last user. Not called for a value that to_rebuild has successfully taken
  // over. Exceptions are logged.
  std::function<void(T&)> dispose = nullptr;
  // The maximum number of callers that wait for one attempt, for the end of a pause, and for their
  // turn, each; more get `retry`.
  std::size_t max_waiters = 100'000;
  // Counts attempts, and intact values of that name. Must outlive the last handle.
  metrics::Registry* metrics = nullptr;
};

struct DurableStatistics {
  std::uint64_t calls = 0;      // of with()
  std::uint64_t attempts = 0;   // begun, to create or to rebuild
  std::uint64_t created = 0;    // attempts that gave an intact value, with to_create
  std::uint64_t rebuilt = 0;    // and with to_rebuild
  std::uint64_t failed = 0;     // attempts that gave an error, a broken value, or nothing in time
  std::uint64_t abandoned = 0;  // of those: passed their deadline, or were in progress at close()
  std::uint64_t breaks = 0;     // intact values found broken
  std::uint64_t waiting = 0;    // callers that wait for an attempt, or for the end of a pause, now
  std::uint64_t waiting_for_turn = 0;  // callers that wait until others are done (exclusive), now
  std::uint64_t failures_in_a_row = 0;
  bool intact = false;              // as published last
  std::optional<Error> last_error;  // of the last attempt that failed
  Duration last_attempt{};          // how long the last one took
};

}  // namespace semper
