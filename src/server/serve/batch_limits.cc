// The part of a Batch that keeps to the limits of its type (throttle.h).
#include <algorithm>
#include <utility>

#include "semper/base/internal/mutant.h"
#include "server/format/limit_rows.h"
#include "server/serve/batch.h"

namespace semper::internal {

bool Batch::waits_for_tokens() {
  const std::uint64_t waiting = entity_.queue_length();
  if (waiting == 0 || !served_.consumes() || refusal_.count > 0) return false;
  static_cast<void>(are_tokens_late());
  Throttle& throttle = *served_.throttle();
  // It would take a token to find out that there is no place for it.
  const QueuedMessage* const first = first_message();
  const bool is_for_lock = served_.has_places() && first != nullptr && !burial_ &&
                           served_.behaviour().takes_locked(first->content.name);
  if (is_for_lock && !throttle.is_next(target_->id)) {
    wait_for_limit(Throttle::For::place);
    return true;
  }
  const auto most =
      static_cast<std::uint64_t>(std::min({limit_, desk_.most, core_.options.batch_messages}));
  const std::uint64_t wanted = std::min(waiting, most);
  if (tokens_.count == 0) tokens_ = throttle.collect(target_->id, wanted);
  // Its last run has taken one, and nothing of it runs any more.
  if (tokens_.count == 0 && burial_) tokens_ = {1, core_.clock().after(kTokensLast)};
  if (SEMPER_MUTANT("server_rate_without_end"))
    tokens_ = {wanted, core_.clock().after(kTokensLast)};
  if (tokens_.count > 0) return false;
  wait_for_limit(Throttle::For::rate);
  return true;
}

// There was nothing for so many of its messages.
void Batch::look_for_refusal() {
  if (refusal_.count > 0 || entity_.queue_length() == 0 || !served_.consumes()) return;
  refusal_ = served_.throttle()->collect_refusal(target_->id);
  const QueuedMessage* const first = first_message();
  const bool is_place = refusal_.what == Throttle::For::place;
  if (!is_place && tokens_.count > 0) refusal_ = {};
  // Of another message than the one that was run here and found no place.
  if (is_place && (first == nullptr || !served_.behaviour().takes_locked(first->content.name))) {
    refusal_ = {};
  }
}

bool Batch::are_tokens_late() {
  if (tokens_.count == 0 || core_.clock().now() < tokens_.until) return false;
  tokens_ = {};
  return true;
}

void Batch::spend_tokens(std::size_t count) {
  tokens_.count -= std::min<std::uint64_t>(tokens_.count, count);
}

void Batch::give_tokens_back() {
  if (tokens_.count > 0) served_.throttle()->give_back(target_->id, std::exchange(tokens_, {}));
}

Async<bool> Batch::take_place(Transaction& transaction) {
  Throttle& throttle = *served_.throttle();
  if (!throttle.is_next(target_->id)) co_return false;
  co_return co_await throttle.take_place(transaction, *target_);
}

// What ran before the message that wants it is run again, without it; then it waits.
bool Batch::wait_for_place(const AttemptEffects& effects) {
  entity_.forget();
  must_load_ = true;
  if (effects.executed > 0) {
    limit_ = effects.executed;
    return false;
  }
  wait_for_limit(Throttle::For::place);
  return true;
}

// The queue is as it was; nothing is counted as a run.
void Batch::wait_for_limit(Throttle::For what) {
  give_tokens_back();
  const std::uint64_t wanted =
      std::min<std::uint64_t>(entity_.queue_length(), core_.options.batch_messages);
  const auto begun = desk_.head_failures > 0 ? Throttle::Begun::yes : Throttle::Begun::no;
  const bool waits = served_.throttle()->wait(target_->id, what, wanted, begun);
  // Else the next look at the index finds it, after a while.
  static_cast<void>(waits);
  reroute_all();
  queue_noticed_ = false;
}

}  // namespace semper::internal
