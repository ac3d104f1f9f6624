#include "server/serve/local_groups.h"

#include <algorithm>

#include "semper/base/assert.h"
#include "semper/base/internal/mutant.h"

namespace semper::internal {
namespace {

// Entities by which a group grows after one that went well.
constexpr std::size_t kLocalGrowth = 4;

}  // namespace

// What comes in one turn of a loop.
struct LocalGroups::Gathering {
  Executor executor;
  std::vector<Slot::Running> waiting;
  bool is_closed = false;
};

// Holds it until it is run. Where the loop goes before, the entities go on elsewhere.
class LocalGroups::Gathered {
 public:
  Gathered(std::shared_ptr<LocalGroups> groups, std::shared_ptr<Gathering> gathering)
      : groups_(std::move(groups)), gathering_(std::move(gathering)) {}
  Gathered(const Gathered&) = delete;
  Gathered& operator=(const Gathered&) = delete;
  ~Gathered() { take(); }

  const Executor& executor() const { return gathering_->executor; }
  std::vector<Slot::Running> take() { return groups_->close(gathering_); }

 private:
  const std::shared_ptr<LocalGroups> groups_;
  const std::shared_ptr<Gathering> gathering_;
};

LocalGroups::LocalGroups(std::shared_ptr<const ServedBehaviour> served)
    : served_(std::move(served)), changes_(KnownGroup::changes_for_groups(*served_)) {}

void LocalGroups::add(Slot::Running running, const Executor& executor) {
  const void* const loop = context_of(executor);
  std::shared_ptr<Gathering> fresh;
  {
    std::lock_guard lock(mutex_);
    std::shared_ptr<Gathering> gathering;
    for (const auto& entry : open_) {
      if (entry.first != loop) continue;
      auto open = entry.second.lock();
      if (open && is_of(*open, executor)) gathering = std::move(open);
    }
    if (!gathering) {
      std::erase_if(open_, [](const auto& entry) { return entry.second.expired(); });
      fresh = std::make_shared<Gathering>();
      fresh->executor = executor;
      open_.emplace_back(loop, fresh);
      gathering = fresh;
    }
    gathering->waiting.push_back(std::move(running));
    if (gathering->waiting.size() >= most_) {
      end(gathering);
    }
  }
  if (!fresh) return;
  auto gathered = std::make_shared<Gathered>(shared_from_this(), std::move(fresh));
  // Later, so that what comes in this turn of the loop is in it.
  asio::post(executor, [self = shared_from_this(), gathered = std::move(gathered)]() mutable {
    const Executor here = gathered->executor();
    asio::co_spawn(here, run(std::move(self), std::move(gathered)), asio::detached);
  });
}

// A strand may be blocked while others of its loop run.
bool LocalGroups::is_of(const Gathering& gathering, const Executor& executor) {
  return gathering.executor == executor || SEMPER_MUTANT("server_local_group_of_all_strands");
}

// Those of other loops are left alone: what they hold may go with them at any time.
void LocalGroups::end(const std::shared_ptr<Gathering>& gathering) {
  if (std::exchange(gathering->is_closed, true)) return;
  std::erase_if(open_, [&](const auto& entry) {
    return !entry.second.owner_before(gathering) && !gathering.owner_before(entry.second);
  });
}

std::vector<Slot::Running> LocalGroups::close(const std::shared_ptr<Gathering>& gathering) {
  std::lock_guard lock(mutex_);
  end(gathering);
  return std::move(gathering->waiting);
}

Task<void> LocalGroups::run(std::shared_ptr<LocalGroups> self, std::shared_ptr<Gathered> gathered) {
  const Executor executor = gathered->executor();
  auto waiting = gathered->take();
  gathered.reset();
  if (waiting.size() == 1) co_return co_await Slot::run(std::move(waiting.front()));
  Members members;
  members.reserve(waiting.size());
  for (auto& running : waiting) {
    auto operations = running.slot()->take_for_local_group(running);
    if (operations) {
      members.push_back(std::make_unique<Member>(std::move(running), std::move(*operations)));
    } else {
      asio::co_spawn(executor, Slot::run(std::move(running)), asio::detached);
    }
  }
  waiting.clear();
  if (members.size() > 1) {
    const KnownGroup group(*self->served_, *self->changes_);
    const Status status = co_await group.attempt(members);
    if (!status) group.undo(members, status.error());
    self->learn(status.has_value());
  }
  for (auto& member : members) self->leave(std::move(member), executor);
}

Task<void> LocalGroups::run_alone(std::unique_ptr<Member> member) {
  co_await Slot::run_begun(member->running, member->batch);
  Slot::Running running(std::move(member->running));
  member.reset();
  co_await Slot::run(std::move(running));
}

void LocalGroups::leave(std::unique_ptr<Member> member, const Executor& executor) {
  if (!member->is_done) {
    asio::co_spawn(executor, run_alone(std::move(member)), asio::detached);
    return;
  }
  auto rest = Slot::leave_local_group(std::move(member->running), member->outcome);
  if (rest) add(std::move(*rest), executor);
}

void LocalGroups::learn(bool went_well) {
  std::lock_guard lock(mutex_);
  most_ = went_well ? std::min(most_ + kLocalGrowth, kLocalGroupEntities)
                    : std::max<std::size_t>(most_ / 2, 2);
  SEMPER_ASSERT(most_ >= 2 && most_ <= kLocalGroupEntities,
                "a group is of two or more, up to its bound");
}

}  // namespace semper::internal
