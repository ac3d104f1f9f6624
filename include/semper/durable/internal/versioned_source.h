// The conversions of versioned.h.
#pragma once

#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "semper/base/internal/thrown.h"
#include "semper/durable/stream_events.h"

namespace semper::internal {

// convert(from) as a Result<To>, whether it returns that or a To, or throws.
template <class To, class From, class F>
Result<To> converted(F& convert, From&& from) {
  try {
    return Result<To>(convert(std::forward<From>(from)));
  } catch (const std::exception& thrown) {
    return fail(ErrorKind::internal,
                std::string("the conversion threw: ") + internal::text_of(thrown));
  } catch (...) {
    return fail(ErrorKind::internal, "the conversion threw no std::exception");
  }
}

template <class From, class To, class F>
class ConvertingSource final : public stream::UpdateSource<Result<To>> {
 public:
  ConvertingSource(std::unique_ptr<stream::UpdateSource<From>> inner, std::shared_ptr<F> convert)
      : inner_(std::move(inner)), convert_(std::move(convert)) {}

  Async<std::optional<stream::UpdateBatch<Result<To>>>> next() override {
    SEMPER_CO_TRY(auto batch, co_await inner_->next());
    std::optional<stream::UpdateBatch<Result<To>>> changed;
    if (batch) {
      changed.emplace();
      changed->resume_token = std::move(batch->resume_token);
      changed->updates.reserve(batch->updates.size());
      for (auto& update : batch->updates) {
        changed->updates.push_back(converted<To>(*convert_, std::move(update)));
      }
    }
    co_return changed;
  }

 private:
  std::unique_ptr<stream::UpdateSource<From>> inner_;
  std::shared_ptr<F> convert_;
};

template <class T>
struct WireConnection;  // of what a dispatch function returns
template <class C>
struct WireConnection<Task<stream::Dispatched<C>>> {
  using Type = C;
};
template <class C>
struct WireConnection<Async<C>> {
  using Type = C;
};

}  // namespace semper::internal
