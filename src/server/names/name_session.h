// NameSession: one life of a registry in the store, from its row to its loss; and the holdings that
// hang on it.
//
// It is valid until nine tenths of a lease after the beginning of the last renewal that succeeded,
// by this process's own clock. Observers saw that renewal later than it began, and wait for a whole
// lease. Once it is over it stays so, whatever is found out later. Threads: any.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>

#include "semper/base/bytes.h"
#include "semper/base/stop.h"
#include "semper/env/clock.h"
#include "semper/env/fork.h"
#include "server/send/loop.h"

namespace semper::internal {

// How long an owner believes in a renewal.
inline Duration trusted_part(Duration lease) {
  return lease >= kForever / 2 ? lease : lease - lease / 10;
}

// That a name is held, for those who ask whether it still is.
class HoldingSign {
 public:
  bool is_over() const { return over_.load(); }
  StopToken token() const { return stop_.get_token(); }
  void end() {
    over_.store(true);
    stop_.request_stop();
  }

 private:
  std::atomic<bool> over_ = false;
  StopSource stop_;
};

class NameSession : public std::enable_shared_from_this<NameSession> {
 public:
  // `home`: where it ends when its time is over.
  static std::shared_ptr<NameSession> begin(Bytes id, Clock& clock, Loop home, MonotonicTime until);
  NameSession(Bytes id, Clock& clock, Loop home, MonotonicTime until);
  ~NameSession();
  NameSession(const NameSession&) = delete;
  NameSession& operator=(const NameSession&) = delete;

  const Bytes& id() const { return id_; }
  bool is_valid() const;
  // False: it is over already, by its time or by end(), and stays so.
  bool extend(MonotonicTime until);
  // Ends it and all that hangs on it. Stop callbacks run here.
  void end();

  // False: it is over already.
  bool add(const std::shared_ptr<HoldingSign>& sign);
  void remove(const std::shared_ptr<HoldingSign>& sign);

 private:
  void arm();  // with the mutex
  void look_at_time();

  const Bytes id_;
  Clock& clock_;
  const Loop home_;
  const ForkGuard fork_;
  std::atomic<bool> over_ = false;
  mutable std::mutex mutex_;
  MonotonicTime until_;
  Clock::TimerId timer_ = 0;
  std::map<const HoldingSign*, std::weak_ptr<HoldingSign>> signs_;
};

}  // namespace semper::internal
