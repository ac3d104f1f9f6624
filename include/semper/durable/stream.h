// PipeStream and StateStream: updates over a connection that is re-established when it breaks.
//
// What for: a client that follows a server's updates, and needs to know when it was cut off. A
// PipeStream delivers updates; a StateStream begins each connection with the whole state, so that a
// copy is correct again. When not: calls with one answer (durable.h).
//
//   using Prices = semper::StateStream<Table, Row>;
//   auto prices = Prices::create(executor, channel, subscribe, {.name = "prices"});
//   while (auto event = co_await prices.next()) {
//     std::visit(overloaded{
//         [&](semper::stream::State<Table>& now) { table = std::move(now.state); },
//         [&](semper::stream::UpdateBatch<Row>& rows) { add_to(table, rows.updates); },
//         [&](semper::stream::LostConnection& lost) { mark_as_stale(lost.reason); },
//         [&](auto&) {}}, *event);
//   }                                              // an error: closed, or see below
//
// `subscribe` is the dispatch function (stream_dispatch.h). All events and their exact order are in
// stream_events.h. `channel` is a Durable; omit it if the dispatch function connects by itself.
// Versions: versioned.h.
//
// Bounds: unread events wait in a buffer (StreamOptions::max_buffered_updates and
// max_buffered_events); WhenFull says what happens when it is full. Nothing is dropped without a
// Gap.
//
// Errors of next(): each means that the stream has ended for good, except these:
//   cancelled    the reader was cancelled; nothing is lost, so call again. This also holds for
//                `next() || timer`, on a strand or a single-threaded loop, as Asio's cancellation
//                requires
//   internal     a function of map_update or map_state threw; that event is lost, and the next call
//                continues
//   conflict     another next() was called meanwhile, which reads on
// and these mean it:
//   closed       close() was called, or the stream's executor is gone
//   exhausted    the reader was too slow (WhenFull::fail), or attempt_limit is reached
//   unsupported  it was made before the process forked (a forked child cannot use it)
//   any other    a permanent failure, after its FailedToConnect or RpcError
//
// If the process dies, nothing is left, except a resume token that the reader has stored: see
// StreamOptions::resume_after.
//
// Threads: everything from any thread; one next() at a time. The stream works on a strand over its
// executor. A reader there runs inside the driver, which yields to others after at most
// kTurnsBeforeYield events. Ownership: the stream owns its buffer and its connection; destroying it
// closes it, even inside any function that it calls. Idea: Async_durable's State_rpc and Pipe_rpc
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

// Makes a dispatch function of `Stream` from a durable value and a function of (C&,
// DispatchRequest).
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

  // On a durable value: each attempt is a with(). Errors of with() become FailedToConnect, and so
  // do exceptions from `dispatch`. `dispatch` takes (C&, stream::DispatchRequest) and returns
  // Task<Dispatched>, or Async<Connection>, whose errors are distinguished by their kind
  // (stream::failed_by_kind). It may use the C only while it runs.
  template <class C, class F>
  static BasicStream create(const Executor& executor, Durable<C> connection, F dispatch,
                            StreamOptions options = StreamOptions()) {
    return create(executor, stream::over<BasicStream>(std::move(connection), std::move(dispatch)),
                  std::move(options));
  }

  // Returns after the first attempt. If that fails, the error says at which stage, and there is no
  // stream and no second attempt. Runs on the caller's executor. The events begin with that
  // attempt.
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

  // For good and at once, even during the delay or a dispatch: the buffer is dropped, a waiting
  // next() gets `closed`, and work in progress is cancelled. Idempotent.
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

// The older name of PipeStream, for users of async_durable.
template <class Update, class Metadata = stream::NoMetadata>
using Subscription [[deprecated("use semper::PipeStream")]] = PipeStream<Update, Metadata>;

}  // namespace semper
