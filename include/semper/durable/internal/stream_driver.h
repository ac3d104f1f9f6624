// StreamDriver: the coroutine that keeps a stream connected, and the buffer its reader takes from.
//
// What for: BasicStream (stream.h) is a handle to it. When not: never used directly.
//
// Invariants: events leave the buffer in the order they came; a batch enters it whole; the resume
// token is that of the last batch (or State) that entered it, or none.
#pragma once

#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

#include "semper/base/assert.h"
#include "semper/base/internal/thrown.h"
#include "semper/durable/internal/stream_core.h"
#include "semper/durable/system_errors.h"
#include "semper/env/internal/has_waited.h"
#include "semper/env/serial.h"

namespace semper::internal {

// What a stream reads from: the driver, or another stream with a change on the way (map_update).
template <class Event>
class EventSource {
 public:
  virtual ~EventSource() = default;
  virtual Async<Event> next() = 0;
  virtual void close() = 0;
  virtual Task<void> join() = 0;
  virtual StreamStatistics statistics() const = 0;
};

template <class S, class Update, class Metadata, class Event>
class StreamDriver final
    : public EventSource<Event>,
      public StreamCore,
      public std::enable_shared_from_this<StreamDriver<S, Update, Metadata, Event>> {
 public:
  using Connection = stream::Connection<S, Update, Metadata>;
  using Dispatched = stream::Dispatched<Connection>;
  using Batch = stream::UpdateBatch<Update>;
  static constexpr bool kHasState = !std::is_same_v<S, stream::NoState>;

  StreamDriver(stream::Dispatch<Connection> dispatch, StreamOptions options)
      : StreamCore(std::move(options)),
        dispatch_(std::move(dispatch)),
        token_(options_.resume_after) {
    SEMPER_ASSERT(kHasState || options_.when_full != WhenFull::fresh_state,
                  "only a StateStream can go on from a fresh state");
  }

  void start(const Executor& executor) {
    auto self = this->shared_from_this();
    auto guard = std::make_shared<EndGuard>(self);
    Cancellable::start(driver_, serial_executor(executor), run(std::move(self), std::move(guard)));
  }

  // The same with the outcome of the first attempt; its failure ends the stream.
  OneShot<FirstOutcome> start_and_tell(const Executor& executor) {
    OneShot<FirstOutcome> outcome;
    first_outcome_ = outcome;
    start(executor);
    return outcome;
  }

  Async<Event> next() override { return next_event(this->shared_from_this()); }

  void close() override {
    if (fork_.is_foreign()) return;
    const Self self = this->shared_from_this();  // a reader that wakes may drop the stream
    StreamCore::close();        // first: else a reader could get what comes after what is dropped
    std::deque<Event> dropped;  // destroyed without the lock
    std::lock_guard lock(mutex_);
    dropped.swap(buffer_);
    statistics_.buffered_updates = statistics_.buffered_events = 0;
  }
  Task<void> join() override { return join_driver(this->shared_from_this()); }
  StreamStatistics statistics() const override { return StreamCore::statistics(); }

 private:
  using Self = std::shared_ptr<StreamDriver>;

  // However a wait of the reader ends, its coroutine destroyed included.
  struct NobodyWaits {
    NobodyWaits(StreamDriver& of, std::uint64_t wait) : driver(of), number(wait) {}
    NobodyWaits(const NobodyWaits&) = delete;
    NobodyWaits& operator=(const NobodyWaits&) = delete;
    ~NobodyWaits() {
      std::lock_guard lock(driver.mutex_);
      if (driver.last_wait_ == number) driver.reader_waits_.reset();
    }
    StreamDriver& driver;
    const std::uint64_t number;
  };

  // By value: the stream may be destroyed while its reader waits.
  //
  // Asio drops what a coroutine returns after its cancellation, as the operands of `||` that lose.
  // So a reader that was cancelled takes nothing, and one that has not waited yet first lets what
  // is ready run: otherwise its answer would be posted, and another operand's could overtake it.
  static Async<Event> next_event(Self self) {
    SEMPER_CO_TRY_STATUS(self->fork_.check(self->options_.name));
    while (true) {
      const auto cancellation = co_await asio::this_coro::cancellation_state;
      if (cancellation.cancelled() != asio::cancellation_type::none) {
        co_return fail(ErrorKind::cancelled, self->options_.name + ": the reader was cancelled");
      }
      const bool has_waited = co_await HasWaited();
      bool yields = false;
      OneShot<ReaderWake> arrived;
      std::optional<OneShot<ReaderWake>> former;
      std::uint64_t number = 0;
      {
        std::unique_lock lock(self->mutex_);
        if (self->closed_) co_return fail(ErrorKind::closed, self->options_.name + " is closed");
        if (!self->buffer_.empty()) {
          yields = !has_waited || self->turns_of_reader_ >= kTurnsBeforeYield;
          if (!yields) {
            ++self->turns_of_reader_;
            Event event = self->take();
            const bool wake = self->driver_waits_ && self->has_room(self->driver_waits_for_);
            lock.unlock();
            if (wake) self->wake_driver();
            co_return event;
          }
        } else {
          if (self->ended_) co_return fail(*self->ended_);
          former = std::exchange(self->reader_waits_, arrived);
          number = ++self->last_wait_;
        }
        self->turns_of_reader_ = 0;
      }
      if (yields) {
        co_await yield_now();
        continue;
      }
      const NobodyWaits leave(*self, number);
      // Its loop may have stopped running; or it was cancelled, and has not heard of it.
      if (former) former->set(ReaderWake::was_replaced);
      auto woken = co_await arrived.wait();
      if (!woken) co_return fail(woken.error());
      if (*woken == ReaderWake::was_replaced) {
        co_return fail(ErrorKind::conflict,
                       self->options_.name + ": another next() was called, which reads on");
      }
    }
  }

  static Task<void> join_driver(Self self) {
    if (self->fork_.is_foreign()) co_return;
    self->close();
    co_await self->driver_gate_.close();
  }

  // Ends the stream when the driver does, however that comes. The frame's from its beginning: the
  // driver may be destroyed before it ran.
  struct EndGuard {
    explicit EndGuard(Self of) : driver(std::move(of)) {}
    EndGuard(const EndGuard&) = delete;
    EndGuard& operator=(const EndGuard&) = delete;
    ~EndGuard() {
      driver->end(Error(ErrorKind::closed, driver->options_.name + ": its executor is gone"));
    }
    const Self driver;
  };

  static Task<void> run(Self self, std::shared_ptr<EndGuard>) {
    auto inside = self->driver_gate_.enter();
    if (!inside) co_return;
    try {
      bool goes_on = true;
      while (goes_on && !self->is_over()) goes_on = co_await self->one_cycle();
    } catch (const std::exception& thrown) {
      // Cancelled by close(), when nobody reads this any more; anything else is out of memory.
      self->end(Error(ErrorKind::internal, self->options_.name + ": " + internal::text_of(thrown)));
    } catch (...) {
      self->end(Error(ErrorKind::internal, self->options_.name + ": an update threw when moved"));
    }
  }

  // From one attempt to the end of the delay after it. False: the stream has ended.
  Task<bool> one_cycle() {
    co_await wait_for_room(Room::dispatch);
    Event attempting = stream::AttemptingNewConnection();
    co_await emit(std::move(attempting));
    if (is_over()) co_return false;
    note_attempt();
    Dispatched dispatched = co_await attempt();
    dispatched = checked(std::move(dispatched));
    if (is_over()) co_return false;
    if (dispatched) {
      if (!co_await serve(std::move(*dispatched))) co_return false;
    } else {
      const auto& failure = dispatched.error();
      if (failure.stage == stream::DispatchFailure::Stage::connect) {
        Event event = stream::FailedToConnect{failure.error};
        co_await emit(std::move(event));
      } else {
        Event event = stream::RpcError{failure.error};
        co_await emit(std::move(event));
      }
      if (is_over() || !note_failed(failure)) co_return false;
    }
    if (is_over()) co_return false;
    static_cast<void>(co_await sleep_for(*options_.env.clock, next_delay()));
    co_return true;
  }

  Task<Dispatched> attempt() {
    // Not kept in a member: the stream may outlive the executor, and a strand must not.
    const Executor strand = co_await asio::this_coro::executor;
    OneShot<Dispatched> answer;
    auto task = std::make_shared<Cancellable>();
    CancelOnExit cancel(task);
    CancellableDeadline deadline;
    if (options_.dispatch_deadline != kForever) {
      deadline.clock = options_.env.clock;
      deadline.when = options_.env.clock->after(options_.dispatch_deadline);
      deadline.on_passed = [answer, name = options_.name]() mutable {
        answer.set(stream::failed_to_connect(
            Error(ErrorKind::timeout, name + ": the dispatch passed dispatch_deadline")));
      };
    }
    auto self = this->shared_from_this();
    std::shared_ptr<void> counted(this, [self](void*) { self->note_dispatch_ended(); });
    auto given = std::make_unique<DispatchAnswer>(answer, options_.name);
    Cancellable::start(task, strand,
                       dispatch(std::move(self), std::move(given), std::move(counted)),
                       std::move(deadline));
    auto answered = co_await answer.wait();
    if (!answered) co_return stream::failed_to_connect(answered.error());
    co_return std::move(*answered);
  }

  // Answers for a dispatch whose coroutine is destroyed before it ends.
  struct DispatchAnswer {
    DispatchAnswer(OneShot<Dispatched> to, std::string stream)
        : answer(std::move(to)), name(std::move(stream)) {}
    DispatchAnswer(const DispatchAnswer&) = delete;
    DispatchAnswer& operator=(const DispatchAnswer&) = delete;
    ~DispatchAnswer() {
      if (answer.is_set()) return;
      answer.set(stream::failed_to_connect(Error(
          ErrorKind::closed, name + ": the executor of what the dispatch waited for is gone")));
    }
    OneShot<Dispatched> answer;
    const std::string name;
  };

  static Task<void> dispatch(Self self, std::unique_ptr<DispatchAnswer> given,
                             std::shared_ptr<void>) {
    auto inside = self->driver_gate_.enter();
    if (!inside) co_return;               // closed before it began
    const auto owner = std::move(given);  // and a connection in it is gone before join()
    OneShot<Dispatched>& answer = owner->answer;
    const std::string place = self->options_.name + ": the dispatch function";
    std::optional<Error> thrown;
    try {
      stream::DispatchRequest request(self->skipped_ ? std::nullopt : self->token_);
      Dispatched dispatched = co_await self->dispatch_(std::move(request));
      answer.set(std::move(dispatched));
      co_return;
    } catch (const std::system_error& caught) {
      thrown = error_from_system(caught.code(), place);
    } catch (const std::exception& caught) {
      thrown = Error(ErrorKind::internal, place + " threw: " + internal::text_of(caught));
    } catch (...) {
      thrown = Error(ErrorKind::internal, place + " threw no std::exception");
    }
    answer.set(stream::failed_to_connect(std::move(*thrown)));
  }

  // Refuses a connection that is not what was agreed.
  Dispatched checked(Dispatched dispatched) const {
    if (!dispatched) return dispatched;
    const bool resumed = dispatched->continuity == stream::Continuity::resumed;
    const char* wrong = nullptr;
    if (!dispatched->updates) wrong = "it has no source of updates";
    if (resumed && (!token_ || skipped_)) wrong = "it resumes, and nobody asked for that";
    if (kHasState && !resumed && !dispatched->state) wrong = "it has no state";
    if (wrong == nullptr) return dispatched;
    return stream::rpc_error(
        Error(ErrorKind::internal, options_.name + ": a connection of no use: " + wrong));
  }

  // From the success to the loss. False: the stream has ended.
  Task<bool> serve(Connection connection) {
    const bool resumed = connection.continuity == stream::Continuity::resumed;
    brought_ = kHasState && !resumed;
    if (!resumed && token_) {
      token_.reset();
      unreadable_here_ = 0;
      note_gap(0);
      Event event = stream::Gap{why_gap(), 0};
      co_await emit(std::move(event));
    }
    note_connected(resumed);
    if (resumed) {
      Event event = stream::ConnectionResumed<Metadata>{std::move(connection.metadata)};
      co_await emit(std::move(event));
    } else {
      Event success = stream::ConnectionSuccess<Metadata>{std::move(connection.metadata)};
      co_await emit(std::move(success));
      if (!connection.start_token.empty()) token_ = connection.start_token;
      if constexpr (kHasState) {
        Event event =
            stream::State<S>{std::move(*connection.state), std::move(connection.start_token)};
        co_await emit(std::move(event));
      }
    }
    const Error reason = co_await forward(*connection.updates);
    if (is_over()) co_return false;
    connection.updates = nullptr;  // released before the reader hears of it
    const bool unreadable =
        reason.kind() == ErrorKind::invalid_argument || reason.kind() == ErrorKind::corrupt;
    unreadable_here_ = unreadable ? unreadable_here_ + 1 : 0;
    if (token_ && unreadable_here_ >= stream::kUnreadableAtOnePlace) skipped_ = reason;
    const auto last = note_lost(reason, brought_);
    Event event = stream::LostConnection{reason};
    co_await emit(std::move(event));
    if (last) end(*last);
    if (is_over()) co_return false;
    if (was_dropped_) co_await wait_for_room(Room::all);
    was_dropped_ = false;
    co_return true;
  }

  Error why_gap() {
    const auto skipped = std::exchange(skipped_, std::nullopt);
    if (!skipped) {
      return Error(ErrorKind::not_found,
                   options_.name + ": the other side does not go on after the last batch");
    }
    return Error(skipped->kind(), options_.name + ": what follows the last batch cannot be read: " +
                                      skipped->message());
  }

  // Pulls until the connection is lost; returns why.
  Task<Error> forward(stream::UpdateSource<Update>& source) {
    for (int turns = 1;; ++turns) {
      if (turns % kTurnsBeforeYield == 0) co_await yield_now();
      if (options_.when_full == WhenFull::back_pressure) co_await wait_for_room(Room::updates);
      if (is_over()) co_return Error(ErrorKind::closed, "the stream is over");
      std::optional<Error> lost;
      try {
        auto batch = co_await source.next();
        if (!batch) {
          lost = batch.error();
        } else if (!*batch) {
          lost = Error(ErrorKind::closed, "the other side ended the updates");
        } else if (!store(std::move(**batch))) {
          co_return co_await drop_updates();
        }
      } catch (const std::system_error& thrown) {
        lost = error_from_system(thrown.code(), options_.name + ": the source");
      } catch (const std::exception& thrown) {
        lost = Error(ErrorKind::internal,
                     options_.name + ": the source threw: " + internal::text_of(thrown));
      } catch (...) {
        lost = Error(ErrorKind::internal, options_.name + ": the source threw no std::exception");
      }
      if (lost) co_return std::move(*lost);
    }
  }

  // False: there is no room for it, and updates are to be dropped.
  bool store(Batch batch) {
    const std::size_t updates = batch.updates.size();
    const std::size_t weight = weight_of_batch(updates);
    {
      std::unique_lock lock(mutex_);
      if (closed_ || ended_) return true;
      const bool overflows = statistics_.buffered_updates != 0 &&
                             statistics_.buffered_updates + weight > options_.max_buffered_updates;
      if (overflows && options_.when_full == WhenFull::fresh_state) {
        dropped_now_ = updates;
        return false;
      }
      if (overflows && options_.when_full == WhenFull::fail) {
        lock.unlock();
        end(Error(ErrorKind::exhausted,
                  Limit{"max_buffered_updates", options_.max_buffered_updates},
                  options_.name + ": the reader is too slow for max_buffered_updates (" +
                      std::to_string(options_.max_buffered_updates) + ")"));
        return true;
      }
      if (batch.resume_token.empty()) {
        token_.reset();
      } else {
        token_ = batch.resume_token;
      }
      statistics_.buffered_updates += weight;
      buffer_.push_back(std::move(batch));
    }
    brought_ = true;
    unreadable_here_ = 0;
    note_batch(updates);
    wake_reader();
    return true;
  }

  // Takes the updates out of the buffer, and says so to the reader.
  Task<Error> drop_updates() {
    std::deque<Event> kept, dropped;
    std::size_t updates = dropped_now_;
    {
      std::lock_guard lock(mutex_);
      for (auto& event : buffer_) {
        const Batch* batch = std::get_if<Batch>(&event);
        if (batch != nullptr) updates += batch->updates.size();
        (batch != nullptr ? dropped : kept).push_back(std::move(event));
      }
      buffer_.swap(kept);
      statistics_.buffered_updates = 0;
    }
    token_.reset();
    was_dropped_ = true;
    note_gap(updates);
    const Error reason(ErrorKind::exhausted,
                       Limit{"max_buffered_updates", options_.max_buffered_updates},
                       options_.name + ": the reader is too slow for max_buffered_updates (" +
                           std::to_string(options_.max_buffered_updates) + ")");
    Event event = stream::Gap{reason, updates};
    co_await emit(std::move(event));
    co_return reason;
  }

  // Puts an event that is no batch into the buffer, as soon as there is room for it.
  // Callers name the event first: g++ 12 destroys an aggregate made inside a co_await twice.
  Task<void> emit(Event event) {
    if (options_.when_full != WhenFull::fail) co_await wait_for_room(Room::events);
    {
      std::unique_lock lock(mutex_);
      if (closed_ || ended_) co_return;
      if (!has_room(Room::events)) {
        lock.unlock();
        end(Error(ErrorKind::exhausted, Limit{"max_buffered_events", options_.max_buffered_events},
                  options_.name + ": the reader is too slow for max_buffered_events (" +
                      std::to_string(options_.max_buffered_events) + ")"));
        co_return;
      }
      ++statistics_.buffered_events;
      buffer_.push_back(std::move(event));
    }
    wake_reader();
  }

  // With the lock held.
  Event take() {
    Event event = std::move(buffer_.front());
    buffer_.pop_front();
    if (const Batch* batch = std::get_if<Batch>(&event)) {
      statistics_.buffered_updates -= weight_of_batch(batch->updates.size());
    } else {
      --statistics_.buffered_events;
    }
    return event;
  }

  const stream::Dispatch<Connection> dispatch_;
  std::deque<Event> buffer_;  // with the lock
  int turns_of_reader_ = 0;   // with the lock

  // Of the driver's coroutine.
  std::optional<Bytes> token_;
  std::optional<Error> skipped_;  // why nothing is resumed after token_
  int unreadable_here_ = 0;
  bool brought_ = false;  // the connection had a state or a batch
  std::size_t dropped_now_ = 0;
  bool was_dropped_ = false;
};

}  // namespace semper::internal
