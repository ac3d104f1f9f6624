// PipeStream and StateStream: updates over a connection that breaks, and is made again.
//
// What for: a client that follows what a server publishes, and wants to know when it was cut off. A
// PipeStream has updates; a StateStream begins each connection with the whole state, so that a copy
// of it is right again. When not: calls with one answer (durable.h).
//
//   using Prices = semper::StateStream<Table, Row>;
//   auto prices = Prices::create(executor, channel, subscribe, {.name = "prices"});
//   while (auto event = co_await prices.next()) {
//     std::visit(overloaded{
//         [&](semper::stream::State<Table>& now) { table = std::move(now.state); },
//         [&](semper::stream::UpdateBatch<Row>& rows) { apply(table, rows.updates); },
//         [&](semper::stream::LostConnection& lost) { mark_as_stale(lost.reason); },
//         [&](auto&) {}}, *event);
//   }                                              // an error: closed, or see below
//
// `subscribe` is the dispatch function; stream_events.h says what it returns, and all events with
// their exact order. `channel` is a Durable, or is left out where the dispatch function connects by
// itself. Versions: versioned.h.
//
// Bounds: what the reader has not read waits in a buffer (StreamOptions::max_buffered_updates and
// max_buffered_events); WhenFull says what happens past it. Nothing is dropped without a Gap.
//
// Errors of next(): each says that the stream has ended and stays so, besides `cancelled` (the
// reader was cancelled; nothing is lost, call again: also in `next() || timer`, on a strand or a
// loop of one thread, as Asio's cancellation asks for) and `internal` from a function of map_update
// or map_state that threw (that event is gone; the next call goes on).
//   closed       close() was called, or the stream's executor is gone
//   exhausted    the reader was too slow (WhenFull::fail), or attempt_limit is reached
//   any other    a permanent failure, after its FailedToConnect or RpcError
//
// If the process dies, nothing is left, besides a resume token that the reader kept: see
// StreamOptions::resume_after.
//
// Threads: everything from any thread; one next() at a time. The stream works on a strand over the
// executor it was given; a reader there runs inside the driver, and others have a turn after at most
// kTurnsBeforeYield events. Ownership: the stream owns its buffer and its connection; destroying it
// closes it, also inside any function that it calls. Idea: Async_durable's State_rpc and Pipe_rpc
// (Jane Street).
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

#include "semper/durable/durable.h"
#include "semper/durable/internal/stream_driver.h"
#include "semper/durable/internal/stream_parts.h"

namespace semper {

namespace stream {

// A dispatch function of `Stream` out of a durable value and a function of (C&, DispatchRequest).
template <class Stream, class C, class F>
typename Stream::Dispatch over(Durable<C> connection, F dispatch) {
  return [connection = std::move(connection),
          shared = std::make_shared<F>(std::move(dispatch))](DispatchRequest request) {
    return internal::dispatch_with<typename Stream::Dispatched>(connection, shared,
                                                                std::move(request));
  };
}

}  // namespace stream

template <class S, class Update, class Metadata>
class BasicStream {
 public:
  static constexpr bool kHasState = !std::is_same_v<S, stream::NoState>;
  using Event = std::conditional_t<kHasState, stream::StateEvent<S, Update, Metadata>,
                                   stream::PipeEvent<Update, Metadata>>;
  using Connection = stream::Connection<S, Update, Metadata>;
  using Dispatched = stream::Dispatched<Connection>;
  using Dispatch = stream::Dispatch<Connection>;

  // Begins its first attempt at once, on `executor`.
  static BasicStream create(const Executor& executor, Dispatch dispatch,
                            StreamOptions options = StreamOptions()) {
    auto driver = std::make_shared<Driver>(std::move(dispatch), std::move(options));
    driver->start(executor);
    return BasicStream(std::move(driver));
  }

  // On a durable value: each attempt is a with(). Its own errors are FailedToConnect, and so is what
  // `dispatch` throws. `dispatch` takes (C&, stream::DispatchRequest) and returns Task<Dispatched>,
  // or Async<Connection>, whose errors are told apart by their kind (stream::failed_by_kind); while
  // it runs, and no longer, it may use the C.
  template <class C, class F>
  static BasicStream create(const Executor& executor, Durable<C> connection, F dispatch,
                            StreamOptions options = StreamOptions()) {
    return create(executor, stream::over<BasicStream>(std::move(connection), std::move(dispatch)),
                  std::move(options));
  }

  // Returns after the first attempt; its failure is the error, an Error with the stage at which it
  // failed, and then there is no stream and no second attempt. Runs on the caller's executor. The
  // events begin with that attempt.
  using Created = tl::expected<BasicStream, stream::CreateError>;
  static Task<Created> create_or_fail(Dispatch dispatch, StreamOptions options = StreamOptions()) {
    using Stage = stream::DispatchFailure::Stage;
    auto driver = std::make_shared<Driver>(std::move(dispatch), std::move(options));
    BasicStream made(driver);
    const Executor executor = co_await asio::this_coro::executor;
    auto first = driver->start_and_tell(executor);
    auto outcome = co_await first.wait();
    if (!outcome) {
      const stream::CreateError cancelled(Stage::connect, outcome.error());
      co_return tl::unexpected<stream::CreateError>(cancelled);
    }
    if (!*outcome) {
      const stream::CreateError failed(outcome->error().stage, outcome->error().error);
      co_return tl::unexpected<stream::CreateError>(failed);
    }
    co_return made;
  }
  template <class C, class F>
  static Task<Created> create_or_fail(Durable<C> connection, F dispatch,
                                      StreamOptions options = StreamOptions()) {
    return create_or_fail(stream::over<BasicStream>(std::move(connection), std::move(dispatch)),
                          std::move(options));
  }

  BasicStream(BasicStream&&) noexcept = default;
  BasicStream& operator=(BasicStream&& other) noexcept {
    if (this != &other) {
      if (source_) source_->close();
      source_ = std::move(other.source_);
    }
    return *this;
  }
  ~BasicStream() {
    if (source_) source_->close();
  }

  // The next event, as soon as there is one.
  Async<Event> next() { return source_->next(); }

  // For good and at once, also during the delay or a dispatch: what is in the buffer is dropped, a
  // waiting next() gets `closed`, what is under way is cancelled. Idempotent.
  void close() { source_->close(); }

  // close(), then waits until the connection is released and nothing runs any more.
  Task<void> join() { return source_->join(); }

  StreamStatistics statistics() const { return source_->statistics(); }

  // The same stream with another type of update, or of state. `change` runs in next(), once for
  // each update; batches stay batches.
  template <class F>
  auto map_update(F change) && {
    using To = std::decay_t<std::invoke_result_t<F&, Update>>;
    return mapped<BasicStream<S, To, Metadata>>(
        internal::ChangeUpdates<Update, To, F>{std::move(change)});
  }
  template <class F>
      auto map_state(F change) && requires kHasState {
    using To = std::decay_t<std::invoke_result_t<F&, S>>;
    return mapped<BasicStream<To, Update, Metadata>>(
        internal::ChangeState<S, To, F>{std::move(change)});
  }

 private:
  template <class, class, class>
  friend class BasicStream;
  using Driver = internal::StreamDriver<S, Update, Metadata, Event>;
  using Source = internal::EventSource<Event>;

  explicit BasicStream(std::shared_ptr<Source> source) : source_(std::move(source)) {}

  template <class Other, class F>
  Other mapped(F change) {
    return Other(std::make_shared<internal::MappedSource<Event, typename Other::Event, F>>(
        std::move(source_), std::move(change)));
  }

  std::shared_ptr<Source> source_;
};

template <class Update, class Metadata = stream::NoMetadata>
using PipeStream = BasicStream<stream::NoState, Update, Metadata>;

template <class S, class Update, class Metadata = stream::NoMetadata>
using StateStream = BasicStream<S, Update, Metadata>;

// The older name of PipeStream, for those who come from async_durable.
template <class Update, class Metadata = stream::NoMetadata>
using Subscription [[deprecated("use semper::PipeStream")]] = PipeStream<Update, Metadata>;

}  // namespace semper
