// ServedType: one behaviour in one host, with the slots of the entities that are at work or cached.
#pragma once

#include <array>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "server/format/keys.h"
#include "server/send/local_hosts.h"
#include "server/serve/group.h"
#include "server/serve/local_groups.h"
#include "server/serve/relayed.h"
#include "server/serve/served_behaviour.h"
#include "server/serve/slot.h"

namespace semper::internal {

// Throws std::logic_error where the type's name cannot be one, or two messages have the same.
void check_names(const Behaviour& behaviour);

class ServedType final : public LocalServer,
                         public SlotOwner,
                         public std::enable_shared_from_this<ServedType> {
 public:
  ServedType(std::shared_ptr<HostCore> core, std::shared_ptr<Behaviour> behaviour,
             ServeOptions options);

  // What waits for a limit is called here. Once, before anything is submitted.
  void connect();

  const ServedBehaviour& served() const { return *served_; }
  const std::shared_ptr<const ServedBehaviour>& shared_served() const { return served_; }

  const std::string& type() const override { return served_->type(); }
  std::type_index behaviour_type() const override;
  std::shared_ptr<Behaviour> behaviour() override;
  Status submit(const std::shared_ptr<const Target>& target, Operation&& operation,
                const Executor& executor) override;
  bool takes_inline() const override { return !served_->has_rate(); }

  // The entity's slot, made where there is none.
  std::shared_ptr<Slot> slot(const std::shared_ptr<const Target>& target);
  std::shared_ptr<Slot> slot(const std::string& id);

  // Those of this type that have work and rest, to be run together.
  Groups& groups() { return *groups_; }

  // Keeps the slot as most recently used, and drops the least recently used idle ones past the
  // cache's bounds.
  void rest(Slot& slot, std::size_t bytes) override;

  void leave_over(std::uint32_t shard) override;
  bool gather(Slot::Running& running, const Executor& executor) override;
  // True: one did since the last call. Else the news is set when one does.
  bool take_left_over(std::uint32_t shard, const OneShot<std::monostate>& news);

  // Publishers of other processes of this machine hand it their casts, from now on, and not any
  // more.
  void take_relayed();
  void stop_relayed();
  Async<void> see_publishers_off();

  // The host stops: no runner on a loop that does not run keeps it.
  void expect_end();

  // The host has stopped: forgets all slots.
  void clear();

  std::size_t cached_entities() const;
  std::size_t cached_bytes() const;

 private:
  const std::shared_ptr<const ServedBehaviour> served_;
  const std::shared_ptr<Groups> groups_;
  const std::shared_ptr<LocalGroups> local_groups_;
  std::shared_ptr<RelayedCasts> relayed_;  // from connect() on

  mutable std::mutex mutex_;
  std::unordered_map<std::string, std::shared_ptr<Slot>> slots_;
  std::list<Slot*> resting_;  // least recently used first
  std::size_t bytes_ = 0;
  struct LeftOver {
    bool is_any = false;
    std::optional<OneShot<std::monostate>> news;  // of the shard's scanner
  };
  std::array<LeftOver, kIndexShards> left_over_;
};

}  // namespace semper::internal
