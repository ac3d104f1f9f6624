// Stop tokens for standard libraries that have none: libc++ up to version 17. What they do is what
// the standard says of std::stop_token, std::stop_source and std::stop_callback. Included by
// stop.h.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace semper::internal {

// What a source, its tokens and its callbacks share.
class OwnStopState {
 public:
  class Callback {
   public:
    virtual void run() noexcept = 0;

   protected:
    ~Callback() = default;
  };

  bool is_requested() const noexcept { return requested_.load(std::memory_order_acquire); }
  bool is_possible() const noexcept { return is_requested() || sources_.load() > 0; }
  void add_source() noexcept { sources_.fetch_add(1); }
  void remove_source() noexcept { sources_.fetch_sub(1); }

  bool request() noexcept {
    std::unique_lock lock(mutex_);
    if (requested_.exchange(true, std::memory_order_acq_rel)) return false;
    runner_ = std::this_thread::get_id();
    while (!callbacks_.empty()) {
      Callback* const next = callbacks_.back();
      callbacks_.pop_back();
      running_ = next;
      lock.unlock();
      next->run();  // it may destroy itself
      lock.lock();
      running_ = nullptr;
      ended_.notify_all();
    }
    return true;
  }

  // Runs it at once where the stop was requested already.
  void add(Callback& callback) {
    {
      std::lock_guard lock(mutex_);
      if (!is_requested()) {
        callbacks_.push_back(&callback);
        return;
      }
    }
    callback.run();
  }

  // Afterwards it does not run: waits for one that does, unless that is what called this.
  void remove(Callback& callback) noexcept {
    std::unique_lock lock(mutex_);
    const auto found = std::find(callbacks_.begin(), callbacks_.end(), &callback);
    if (found != callbacks_.end()) {
      callbacks_.erase(found);
    } else if (runner_ != std::this_thread::get_id()) {
      ended_.wait(lock, [&] { return running_ != &callback; });
    }
  }

 private:
  std::atomic<bool> requested_{false};
  std::atomic<std::size_t> sources_{0};
  std::mutex mutex_;
  std::condition_variable ended_;
  std::vector<Callback*> callbacks_;
  Callback* running_ = nullptr;
  std::thread::id runner_;
};

template <class Function>
class OwnStopCallback;

class OwnStopToken {
 public:
  OwnStopToken() noexcept = default;

  bool stop_requested() const noexcept { return state_ && state_->is_requested(); }
  bool stop_possible() const noexcept { return state_ && state_->is_possible(); }
  void swap(OwnStopToken& other) noexcept { state_.swap(other.state_); }

  friend bool operator==(const OwnStopToken&, const OwnStopToken&) noexcept = default;

 private:
  friend class OwnStopSource;
  template <class Function>
  friend class OwnStopCallback;
  explicit OwnStopToken(std::shared_ptr<OwnStopState> state) noexcept : state_(std::move(state)) {}

  std::shared_ptr<OwnStopState> state_;
};

class OwnStopSource {
 public:
  OwnStopSource() : state_(std::make_shared<OwnStopState>()) { state_->add_source(); }
  OwnStopSource(const OwnStopSource& other) noexcept : state_(other.state_) {
    if (state_) state_->add_source();
  }
  OwnStopSource(OwnStopSource&& other) noexcept = default;
  OwnStopSource& operator=(OwnStopSource other) noexcept {
    swap(other);
    return *this;
  }
  ~OwnStopSource() {
    if (state_) state_->remove_source();
  }

  bool request_stop() noexcept { return state_ && state_->request(); }
  OwnStopToken get_token() const noexcept { return OwnStopToken(state_); }
  bool stop_requested() const noexcept { return state_ && state_->is_requested(); }
  bool stop_possible() const noexcept { return state_ != nullptr; }
  void swap(OwnStopSource& other) noexcept { state_.swap(other.state_); }

  friend bool operator==(const OwnStopSource&, const OwnStopSource&) noexcept = default;

 private:
  std::shared_ptr<OwnStopState> state_;
};

template <class Function>
class OwnStopCallback {
 public:
  template <class F>
  requires std::is_constructible_v<Function, F>
  explicit OwnStopCallback(const OwnStopToken& token, F&& function)
      : callback_(std::forward<F>(function)), state_(token.state_) {
    if (state_) state_->add(callback_);
  }
  OwnStopCallback(const OwnStopCallback&) = delete;
  OwnStopCallback& operator=(const OwnStopCallback&) = delete;
  ~OwnStopCallback() {
    if (state_) state_->remove(callback_);
  }

 private:
  struct Callback final : OwnStopState::Callback {
    template <class F>
    explicit Callback(F&& given) : function(std::forward<F>(given)) {}
    void run() noexcept override { std::invoke(std::forward<Function>(function)); }

    Function function;
  };

  Callback callback_;
  std::shared_ptr<OwnStopState> state_;
};

template <class Function>
OwnStopCallback(OwnStopToken, Function) -> OwnStopCallback<Function>;

}  // namespace semper::internal
