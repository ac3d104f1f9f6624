#include "server/names/name_session.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "semper/base/internal/mutant.h"

namespace semper::internal {

std::shared_ptr<NameSession> NameSession::begin(Bytes id, Clock& clock, Loop home,
                                                MonotonicTime until) {
  auto session = std::make_shared<NameSession>(std::move(id), clock, std::move(home), until);
  std::lock_guard lock(session->mutex_);
  session->arm();
  return session;
}

NameSession::NameSession(Bytes id, Clock& clock, Loop home, MonotonicTime until)
    : id_(std::move(id)), clock_(clock), home_(std::move(home)), until_(until) {}

NameSession::~NameSession() {
  if (!fork_.is_foreign() && timer_ != 0) clock_.cancel(timer_);
}

bool NameSession::is_valid() const {
  if (over_.load() || fork_.is_foreign()) return false;
  std::lock_guard lock(mutex_);
  return SEMPER_MUTANT("server_names_own_lease_is_endless") || clock_.now() < until_;
}

bool NameSession::extend(MonotonicTime until) {
  std::lock_guard lock(mutex_);
  const bool is_late = over_.load() || clock_.now() >= until_;
  if (is_late && !SEMPER_MUTANT("server_names_session_comes_back")) return false;
  until_ = std::max(until_, until);
  return true;
}

void NameSession::end() {
  over_.store(true);
  std::vector<std::shared_ptr<HoldingSign>> ended;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [address, weak] : signs_) {
      if (auto sign = weak.lock()) ended.push_back(std::move(sign));
    }
    signs_.clear();
  }
  for (const auto& sign : ended) sign->end();
}

bool NameSession::add(const std::shared_ptr<HoldingSign>& sign) {
  std::lock_guard lock(mutex_);
  if (over_.load()) return false;
  signs_.emplace(sign.get(), sign);
  return true;
}

void NameSession::remove(const std::shared_ptr<HoldingSign>& sign) {
  std::lock_guard lock(mutex_);
  signs_.erase(sign.get());
}

void NameSession::arm() {
  if (until_ == kNever) return;
  timer_ = clock_.call_at(until_, [weak = weak_from_this()] {
    if (const auto session = weak.lock()) session->look_at_time();
  });
}

// On the clock's thread.
void NameSession::look_at_time() {
  if (over_.load()) return;
  {
    std::lock_guard lock(mutex_);
    if (clock_.now() < until_) return arm();
  }
  if (SEMPER_MUTANT("server_names_own_lease_is_endless")) return;
  over_.store(true);
  home_.post([self = shared_from_this()] { self->end(); });
}

}  // namespace semper::internal
