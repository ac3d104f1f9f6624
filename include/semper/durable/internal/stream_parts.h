// What stream.h is put together from: dispatch over a durable value, and streams with a change on
// the way.
#pragma once

#include <exception>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include "semper/base/internal/thrown.h"
#include "semper/durable/durable.h"
#include "semper/durable/internal/stream_driver.h"

namespace semper::internal {

template <class Dispatched, class F, class C>
Task<Dispatched> dispatch_on(std::shared_ptr<F> dispatch, C& connection,
                             stream::DispatchRequest request) {
  std::string thrown;
  try {
    auto answer = co_await (*dispatch)(connection, std::move(request));
    if constexpr (std::is_same_v<decltype(answer), Dispatched>) {
      co_return answer;
    } else {
      if (!answer) co_return stream::failed_by_kind(std::move(answer).error());
      co_return std::move(*answer);
    }
  } catch (const std::exception& caught) {
    thrown = internal::text_of(caught);
  } catch (...) {
    thrown = "something that is no std::exception";
  }
  const Error error(ErrorKind::internal, "the dispatch function threw: " + thrown);
  co_return stream::failed_to_connect(error);
}

template <class Dispatched, class C, class F>
Task<Dispatched> dispatch_with(Durable<C> durable, std::shared_ptr<F> dispatch,
                               stream::DispatchRequest request) {
  auto call = [&](C& connection) {
    return dispatch_on<Dispatched>(dispatch, connection, std::move(request));
  };
  auto answer = co_await durable.with(std::move(call));
  if (!answer) co_return stream::failed_to_connect(std::move(answer).error());
  co_return std::move(*answer);
}

// Changes for map_event: one is called for the event it is about, and no other.
template <class From, class To, class F>
struct ChangeUpdates {
  F change;
  stream::UpdateBatch<To> operator()(stream::UpdateBatch<From> batch) {
    stream::UpdateBatch<To> changed({}, std::move(batch.resume_token));
    changed.updates.reserve(batch.updates.size());
    for (auto& update : batch.updates) changed.updates.push_back(change(std::move(update)));
    return changed;
  }
};
template <class From, class To, class F>
struct ChangeState {
  F change;
  stream::State<To> operator()(stream::State<From> state) {
    return stream::State<To>{change(std::move(state.state)), std::move(state.resume_token)};
  }
};

template <class From, class To, class F>
class MappedSource final : public EventSource<To>,
                           public std::enable_shared_from_this<MappedSource<From, To, F>> {
 public:
  MappedSource(std::shared_ptr<EventSource<From>> inner, F change)
      : inner_(std::move(inner)), change_(std::move(change)) {}

  Async<To> next() override { return next_mapped(this->shared_from_this()); }
  void close() override { inner_->close(); }
  Task<void> join() override { return inner_->join(); }
  StreamStatistics statistics() const override { return inner_->statistics(); }

 private:
  // By value: the stream may be destroyed while its reader waits, or by the function.
  static Async<To> next_mapped(std::shared_ptr<MappedSource> self) {
    auto event = co_await self->inner_->next();
    if (!event) co_return fail(std::move(event).error());
    std::string thrown;
    try {
      co_return stream::map_event<To>(std::move(*event), self->change_);
    } catch (const std::exception& caught) {
      thrown = internal::text_of(caught);
    } catch (...) {
      thrown = "something that is no std::exception";
    }
    co_return fail(ErrorKind::internal, "the function that maps an event threw: " + thrown);
  }

  std::shared_ptr<EventSource<From>> inner_;
  F change_;
};

}  // namespace semper::internal
