// ServerCalls: the calls of one server, counted until nothing of them is left.
//
// A call has a place from its arrival until gRPC is done with it and its handler has ended,
// whichever is later: a handler may go on after its caller has gone. So max_calls bounds handlers,
// and shutdown() returns after the last of them.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "semper/base/result.h"
#include "semper/env/asio.h"
#include "semper/env/clock.h"

namespace semper::rpc {

struct CallInfo;

// How long shutdown() waits for handlers before it says for which.
inline constexpr Duration kShutdownPatience = std::chrono::seconds(5);

// What all calls of a server share; calls that are late keep it.
class ServerCalls {
 public:
  // Set before the first call.
  Executor executor;
  std::function<Result<void>(const CallInfo&)> authorize;
  std::size_t max_calls = 0;
  std::set<std::string> services;
  std::map<std::string, std::atomic<std::size_t>> running;  // handlers of each method

  std::atomic<bool> serving = true;

  std::size_t count() const { return calls_; }
  // Until there are no calls; or they cannot end, because the loop of the executor was stopped or
  // runs on this thread (loop_state.h).
  void wait_for_handlers();

 private:
  friend class CallPlace;
  void end();
  std::string why_they_can_not_end() const;  // empty: they can
  std::string who_runs() const;

  std::atomic<std::size_t> calls_ = 0;
  std::mutex mutex_;
  std::condition_variable none_left_;
};

class CallPlace {
 public:
  explicit CallPlace(std::shared_ptr<ServerCalls> calls) : calls_(std::move(calls)) {
    ++calls_->calls_;
  }
  CallPlace(const CallPlace&) = delete;
  CallPlace& operator=(const CallPlace&) = delete;
  ~CallPlace();

  // Its handler begins.
  void begin(const std::string& method);

 private:
  const std::shared_ptr<ServerCalls> calls_;
  std::atomic<std::size_t>* running_ = nullptr;
};

}  // namespace semper::rpc
