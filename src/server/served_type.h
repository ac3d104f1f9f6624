// ServedType: one behaviour in one host, with the slots of the entities that are at work or cached.
#pragma once

#include <array>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "host_core.h"
#include "keys.h"
#include "slot.h"

namespace semper::internal {

// Throws std::logic_error where the type's name can not be one, or two messages have the same.
void check_names(const Behaviour& behaviour);

class ServedType : public std::enable_shared_from_this<ServedType> {
 public:
  ServedType(std::shared_ptr<HostCore> core, std::shared_ptr<Behaviour> behaviour,
             ServeOptions options);

  HostCore& core() const { return *core_; }
  Behaviour& behaviour() const { return *behaviour_; }
  const std::string& type() const { return type_; }
  // Whether both have the same C++ type, not only the same name.
  bool has_behaviour_of(const ServedType& other) const;
  bool consumes() const { return options_.consume == ServeOptions::Consume::yes; }

  // The entity's slot, made where there is none.
  std::shared_ptr<Slot> slot(const std::shared_ptr<const Target>& target);
  std::shared_ptr<Slot> slot(const std::string& id);

  // A runner has ended: keeps the slot as most recently used, and drops the least recently used
  // idle ones past the cache's bounds.
  void rest(Slot& slot, std::size_t bytes);

  // An entity of this shard has more to do, and gave its permit up for others.
  void leave_over(std::uint32_t shard);
  // True: one did since the last call. Else the news is set when one does.
  bool take_left_over(std::uint32_t shard, const OneShot<std::monostate>& news);

  // The host stops: no runner on a loop that does not run keeps it.
  void expect_end();

  // The host has stopped: forgets all slots.
  void clear();

  std::size_t cached_entities() const;
  std::size_t cached_bytes() const;

 private:
  const std::shared_ptr<HostCore> core_;
  const std::shared_ptr<Behaviour> behaviour_;
  const ServeOptions options_;
  const std::string type_;

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
