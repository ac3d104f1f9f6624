// ServedBehaviour: one behaviour in one host, as everything that works on its entities uses it.
#pragma once

#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "semper/server/internal/behaviour.h"
#include "server/serve/failure_log.h"
#include "server/serve/host_core.h"
#include "server/serve/left_alone.h"
#include "server/serve/throttle.h"
#include "server/serve/type_counters.h"
#include "server/serve/waiting_heads.h"

namespace semper::internal {

inline constexpr int kAttemptsForEver = std::numeric_limits<int>::max();

class ServedBehaviour {
 public:
  ServedBehaviour(std::shared_ptr<HostCore> core, std::shared_ptr<Behaviour> behaviour,
                  ServeOptions options)
      : core_(std::move(core)),
        behaviour_(std::move(behaviour)),
        options_(options),
        type_(behaviour_->type()),
        letters_(behaviour_->letter_rules()),
        expiry_(behaviour_->expiry_rules()),
        left_alone_(core_->options.unknown_message_wait),
        counters_(core_->options.metrics, type_) {
    if (!behaviour_->limit_rules().is_any()) return;
    throttle_ = std::make_shared<Throttle>(core_, behaviour_, counters_.limited, heads_);
  }

  HostCore& core() const { return *core_; }
  Behaviour& behaviour() const { return *behaviour_; }
  const std::string& type() const { return type_; }
  const LetterRules& letters() const { return letters_; }
  const ExpiryRules& expiry() const { return expiry_; }
  // Runs of a message that fails before it is set aside.
  int message_attempts() const {
    if (letters_.attempts < 0) return core_->options.message_attempts;
    return letters_.attempts > 0 ? letters_.attempts : kAttemptsForEver;
  }
  // Whether this host takes what others enqueue.
  bool consumes() const { return options_.consume == ServeOptions::Consume::yes; }
  LeftAlone& left_alone() const { return left_alone_; }
  TypeCounters& counters() const { return counters_; }
  WaitingHeads& heads() const { return heads_; }
  // A run of a message has failed: it is counted, and logged.
  void failed(const EntityId& id, const FailedRun& run, const Error& error) const {
    counters_.failures.add();
    failure_log_.failed(core_->clock().now(), id, run, error);
  }
  // For how long the oldest message has waited that this host knows of, at least.
  Duration oldest_message() const;
  // Null where the type has no limits.
  Throttle* throttle() const { return throttle_.get(); }
  bool has_rate() const { return throttle_ && throttle_->rules().has_rate(); }
  bool has_places() const { return throttle_ && throttle_->rules().has_places(); }
  bool refuses() const { return throttle_ && throttle_->rules().over == OverLimit::refuse; }
  // Whether this program can do with an entity that needs this.
  bool meets(const Needs& needs) const;

 private:
  const std::shared_ptr<HostCore> core_;
  const std::shared_ptr<Behaviour> behaviour_;
  const ServeOptions options_;
  const std::string type_;
  const LetterRules letters_;
  const ExpiryRules expiry_;
  std::shared_ptr<Throttle> throttle_;
  mutable LeftAlone left_alone_;   // threads: any
  mutable TypeCounters counters_;  // the same
  mutable WaitingHeads heads_;
  mutable FailureLog failure_log_;
};

inline Duration ServedBehaviour::oldest_message() const {
  std::lock_guard lock(core_->version_times_mutex);
  return heads_.oldest(core_->version_times, core_->clock().now());
}

inline bool ServedBehaviour::meets(const Needs& needs) const {
  if (needs.state_version > behaviour_->state_version()) return false;
  if (needs.newer_program && left_alone_.is_behind()) return false;
  if (needs.message.empty()) return true;
  if (needs.way == Way::locked) return behaviour_->takes_locked(needs.message);
  return behaviour_->takes(needs.message, static_cast<Event>(needs.way));
}

}  // namespace semper::internal
