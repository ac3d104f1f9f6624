// NameHolding: a name that this process holds, and the agents that come to hold one.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "server/names/names_office.h"

namespace semper::internal {

class NameHolding {
 public:
  NameHolding(std::shared_ptr<NamesOffice> office, std::shared_ptr<NameSession> session,
              std::shared_ptr<const NameClaim> claim, std::uint64_t token);
  // Gives it back in the background, where that is not done.
  ~NameHolding();
  NameHolding(const NameHolding&) = delete;
  NameHolding& operator=(const NameHolding&) = delete;

  const std::string& name() const { return claim_->name; }
  std::uint64_t token() const { return token_; }
  bool is_held() const { return !sign_->is_over() && session_->is_valid(); }
  StopToken lost() const { return sign_->token(); }

  Async<void> guard(Transaction& transaction) const;
  static Async<void> set_metadata(std::shared_ptr<NameHolding> self, NameMetadata metadata);
  static Async<void> release(std::shared_ptr<NameHolding> self);

  // Of its caller: false where it came too late. Of its agent: true where the caller did not come.
  bool fetch() { return !is_decided_.exchange(true); }
  bool take_back() { return !is_decided_.exchange(true); }

 private:
  friend class NameAgents;
  Error lost_error() const;

  const std::shared_ptr<NamesOffice> office_;
  const std::shared_ptr<NameSession> session_;
  const std::shared_ptr<const NameClaim> claim_;
  const std::uint64_t token_;
  const std::shared_ptr<HoldingSign> sign_ = std::make_shared<HoldingSign>();
  std::atomic<bool> is_decided_ = false;
  std::atomic<bool> is_released_ = false;
};

// The name now, or already_exists.
Async<std::shared_ptr<NameHolding>> acquire_name(std::shared_ptr<NamesOffice> office,
                                                 std::string name, NameMetadata metadata);
// In the order of asking.
Async<std::shared_ptr<NameHolding>> campaign_for(std::shared_ptr<NamesOffice> office,
                                                 std::string name, CampaignOptions options);

}  // namespace semper::internal
