// deliver: a call whose outcome keeps others out (a side of a ring, a journal), made on no loop of
// its caller's, and taken back where the caller does not fetch it.
//
// What for: attach, create, and the start of a journal. A caller's loop may be destroyed, or be run
// no more, in the middle of it, or when it is done: the role that it took must not be held for ever
// then. So the work runs on the thread that brings the news (DirectExecutor), and hands its outcome
// over:
//
//   not fetched for kCallerPatience   given back; should the loop run again, it is done anew
//   the caller's coroutine destroyed  dropped at once; work that is under way ends at its next step
//   the caller cancelled              the same, and the call ends with it
//
// When not: calls of a handle that is there (apart.h), which take no role.
// `work` owns what it uses, but for the device, the clock and the random source; so does
// `give_back`. The work hears of its end at the waits that heed a cancellation, and from
// not_cancelled(). Threads: any.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "ring/apart.h"
#include "ring/turn.h"

namespace semper::ring::internal {

// How often a call is made anew whose outcome was taken back.
inline constexpr int kDeliveries = 4;

template <class T>
class Delivery : public std::enable_shared_from_this<Delivery<T>> {
 public:
  // Of the caller. However it ends, also where its coroutine is destroyed, the delivery does too.
  class Recipient {
   public:
    explicit Recipient(std::shared_ptr<Delivery> delivery) : delivery_(std::move(delivery)) {}
    Recipient(const Recipient&) = delete;
    Recipient& operator=(const Recipient&) = delete;
    ~Recipient() { delivery_->drop(); }

    // Waits for the outcome; none where it was taken back.
    Task<std::optional<Result<T>>> fetch() {
      const auto came = co_await delivery_->came_.wait();
      if (!came) {
        delivery_->stop();
        static_cast<void>(co_await delivery_->came_.wait_regardless());
      }
      co_return delivery_->take(Fetched::by_the_caller);
    }

   private:
    std::shared_ptr<Delivery> delivery_;
  };

  void start(std::function<Async<T>()> work, std::function<Async<void>(T)> give_back,
             Clock& clock) {
    const auto self = this->shared_from_this();
    executor_.execute([self, work = std::move(work), give_back = std::move(give_back), &clock] {
      asio::co_spawn(Executor(self->executor_), run(self, work, give_back, clock),
                     asio::bind_cancellation_slot(self->signal_.slot(), asio::detached));
    });
  }

 private:
  enum class Fetched : std::uint8_t { by_the_caller, taken_back };

  static Task<void> run(std::shared_ptr<Delivery> self, std::function<Async<T>()> work,
                        std::function<Async<void>(T)> give_back, Clock& clock) {
    co_await asio::this_coro::throw_if_cancelled(false);
    Result<T> result = co_await contained(work);
    work = nullptr;  // before the caller goes on, who may end what it belongs to
    const bool holds = result.has_value();
    if (!self->hand_over(result)) co_return;
    if (!holds || !give_back) co_return;
    const auto fetched =
        co_await self->fetched_.wait_regardless_until(clock, clock.after(kCallerPatience));
    if (fetched) co_return;
    std::optional<Result<T>> back = self->take(Fetched::taken_back);
    if (!back) co_return;
    static_cast<void>(co_await give_back(std::move(**back)));
  }

  // False where nobody wants it: it is destroyed then.
  bool hand_over(Result<T>& result) {
    {
      std::lock_guard lock(mutex_);
      if (!wanted_) return false;
      outcome_.emplace(std::move(result));
    }
    came_.set(true);
    return true;
  }

  std::optional<Result<T>> take(Fetched how) {
    std::optional<Result<T>> taken;
    {
      std::lock_guard lock(mutex_);
      taken.swap(outcome_);
    }
    if (how == Fetched::by_the_caller) fetched_.set(true);
    return taken;
  }

  void stop() {
    executor_.execute([self = this->shared_from_this()] {
      self->signal_.emit(asio::cancellation_type::terminal);
    });
  }

  void drop() {
    bool under_way = false;
    std::optional<Result<T>> dropped;
    {
      std::lock_guard lock(mutex_);
      wanted_ = false;
      dropped.swap(outcome_);
      under_way = !came_.is_set();
    }
    dropped.reset();
    fetched_.set(true);
    if (under_way) stop();
  }

  std::mutex mutex_;
  bool wanted_ = true;
  std::optional<Result<T>> outcome_;  // until somebody takes it
  OneShot<bool> came_;                // to the caller
  OneShot<bool> fetched_;             // to the work
  asio::cancellation_signal signal_;  // on the executor only
  DirectExecutor executor_;
};

// `give_back`: of an outcome that nobody fetched; empty where it keeps nobody out.
template <class T>
Async<T> deliver(Clock& clock, std::function<Async<T>()> work,
                 std::function<Async<void>(T)> give_back) {
  for (int attempt = 0; attempt < kDeliveries; ++attempt) {
    SEMPER_CO_TRY_STATUS(not_cancelled(co_await asio::this_coro::cancellation_state));
    const auto delivery = std::make_shared<Delivery<T>>();
    typename Delivery<T>::Recipient recipient(delivery);
    delivery->start(work, give_back, clock);
    std::optional<Result<T>> outcome = co_await recipient.fetch();
    if (outcome) co_return std::move(*outcome);
  }
  co_return fail(
      ErrorKind::retry,
      "the loop that asked did not run for " +
          std::to_string(
              std::chrono::duration_cast<std::chrono::seconds>(kCallerPatience).count()) +
          " s when it was done, " + std::to_string(kDeliveries) +
          " times, and it was taken back; ask on a loop that runs");
}

}  // namespace semper::ring::internal
