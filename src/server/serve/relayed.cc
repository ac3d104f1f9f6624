#include "server/serve/relayed.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "semper/base/assert.h"
#include "semper/base/internal/mutant.h"
#include "semper/base/log.h"
#include "server/format/keys.h"
#include "server/send/sessions.h"

namespace semper::internal {
namespace {

// Entities by which a group grows after one that went well.
constexpr std::size_t kRelayedGrowth = 4;

}  // namespace

// A publisher of another process, as long as its link lasts.
class RelayedCasts::Visitor final : public NeighbourReceiver,
                                    public std::enable_shared_from_this<Visitor> {
 public:
  Visitor(std::weak_ptr<RelayedCasts> host, Loop home, std::shared_ptr<NeighbourLink> link,
          MonotonicTime now)
      : came_at(now), host_(std::move(host)), home_(std::move(home)), link_(std::move(link)) {}

  void on_message(Bytes message) override {
    const auto host = host_.lock();
    if (!host) return end("the host has ended");
    if (session_.empty()) {
      auto session = decode_relay_hello(message);
      if (!session) return end(session.error().to_string());
      begin(host->core().tenant.prefix(), std::move(*session));
      return;
    }
    if (is_relay_goodbye(message)) {
      home_.spawn([weak = host_, self = shared_from_this()] { return see_off(weak, self); });
      return;
    }
    auto casts = decode_relay_casts(message);
    if (!casts) return end(casts.error().to_string());
    host->on_casts(shared_from_this(), std::move(*casts));
  }
  void on_end(const Error&) override {
    if (const auto host = host_.lock()) host->forget(shared_from_this());
    std::lock_guard lock(mutex_);
    link_.reset();
  }

  void answer(const RelayAnswers& answers) {
    const auto to = link();
    if (to && !answers.empty() && !to->send(encode_relay_answers(answers))) to->close();
  }
  void close() {
    if (const auto to = link()) to->close();
  }

  // On the host's loop. Its session's rows go, and with them what it could find out.
  Async<void> end_session(const Store& store) {
    const KeyRange all = all_;
    const auto remove = [all](Transaction& transaction) -> Async<void> {
      transaction.clear_range(all);
      co_return Status{};
    };
    co_return co_await store.transact(remove);
  }

  // On the host's loop: what is in the store of its session.
  Async<void> look(Transaction& transaction) {
    SEMPER_CO_TRY(const auto row, co_await transaction.get(row_));
    SEMPER_CO_TRY(const auto relay, co_await transaction.get(relay_));
    SEMPER_CO_TRY(known_since_, co_await transaction.read_version());
    has_session_ = relay.has_value();
    if (row) {
      if (auto record = decode_alive(*row)) alive_ = std::move(*record);
    }
    co_return Status{};
  }
  bool is_known(const RecentChanges& changes, Version newest) const {
    return has_session_ &&
           (known_since_ >= newest || changes.is_known_unchanged(relay_, known_since_));
  }
  bool has_session() const { return has_session_; }
  // Whether the publisher knows of all that was taken.
  bool is_settled(std::uint64_t known_to) {
    std::lock_guard lock(mutex_);
    return !session_.empty() && std::all_of(marks_.begin(), marks_.end(), [&](const auto& mark) {
      return mark.second <= known_to;
    });
  }

  // With the commit that takes casts of these numbers. Returns its own.
  std::uint64_t mark(Transaction& transaction, const std::vector<std::uint64_t>& numbers,
                     std::uint64_t known_to, MonotonicTime now) {
    if (!SEMPER_MUTANT("server_relay_fence_unchecked")) {
      transaction.assume_unchanged(KeyRange::point(relay_), 1);
    }
    const std::uint64_t commit = ++last_commit_;
    if (!SEMPER_MUTANT("server_relay_unmarked")) {
      transaction.set(relay_mark_key(relay_, commit), encode_relay_mark(numbers));
    }
    for (const auto& [earlier, highest] : marks_) {
      if (highest <= known_to) transaction.clear(relay_mark_key(relay_, earlier));
    }
    if (now - renewed_at_ > kSessionRenewal) {
      ++alive_.renewals;
      transaction.set(row_, encode_alive(alive_));
      renewed_at_ = now;
    }
    return commit;
  }
  void marked(std::uint64_t commit, std::uint64_t highest, std::uint64_t known_to) {
    std::erase_if(marks_, [&](const auto& mark) { return mark.second <= known_to; });
    marks_.emplace_back(commit, highest);
  }

  // With the lock of who takes the casts.
  std::uint64_t floor = 0;
  MonotonicTime came_at;
  std::size_t under_way = 0;  // units that wait or run
  bool is_open = false;       // there is one of which nobody knows whether it took effect

 private:
  void begin(BytesView prefix, Bytes session) {
    std::lock_guard lock(mutex_);
    row_ = session_key(prefix, session);
    all_ = everything_of_session(prefix, session);
    relay_ = relay_key(prefix, session);
    session_ = std::move(session);
  }
  std::shared_ptr<NeighbourLink> link() {
    std::lock_guard lock(mutex_);
    return link_;
  }
  // Not from here: the link is calling.
  void end(const std::string& why) {
    log_warning("server", "a publisher of this machine is not understood: " + why);
    home_.post([self = shared_from_this()] { self->close(); });
  }

  const std::weak_ptr<RelayedCasts> host_;
  const Loop home_;
  std::mutex mutex_;
  std::shared_ptr<NeighbourLink> link_;

  // From the first message on.
  Bytes session_;
  Bytes row_;
  KeyRange all_;
  Bytes relay_;

  // On the host's loop.
  bool has_session_ = false;
  Version known_since_ = 0;
  AliveRecord alive_;
  MonotonicTime renewed_at_{};
  std::uint64_t last_commit_ = 0;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> marks_;  // commit, highest number in it
};

struct RelayedCasts::Unit {
  VisitorPointer visitor;
  RelayUnit casts;
  std::uint64_t floor = 0;
  RelayAnswer answer = RelayAnswer::declined;
  bool is_open = false;  // it may take effect, or have done
  bool waits = false;    // for what is before it in its entity's queue, or at work on it
  int tries = 0;
};

// What one commit has of one publisher.
struct RelayedCasts::Given {
  VisitorPointer visitor;
  std::uint64_t floor = 0;
  std::vector<std::uint64_t> numbers;
  std::uint64_t commit = 0;
};

// Entities whose turn a group has, and what each is to run.
struct RelayedCasts::Group {
  KnownGroup::Members members;
  std::vector<Unit*> units;  // of each
  std::vector<Given> given;  // by the commit

  // Its operation has run, or will have with the commit.
  bool has_run(std::size_t i) const {
    return members[i]->has_joined && members[i]->effects.operations_run == 1;
  }
};

// One of the coroutines that run groups. Ends also where its loop is destroyed: nothing is said of
// what it had in hand then, and its publishers find out.
class RelayedCasts::Running {
 public:
  Running(std::shared_ptr<RelayedCasts> casts, Gate::Holder inside)
      : casts_(std::move(casts)), inside_(std::move(inside)) {}
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  ~Running() {
    for (const auto& unit : units) unit.visitor->close();
    std::lock_guard lock(casts_->mutex_);
    for (const auto& unit : units) casts_->at_work_.erase(unit.casts.id);
    if (is_counted) --casts_->running_;
  }

  RelayedCasts& casts() const { return *casts_; }
  std::vector<Unit> units;  // in hand
  bool is_counted = false;  // among those that run

 private:
  const std::shared_ptr<RelayedCasts> casts_;
  const Gate::Holder inside_;
};

RelayedCasts::RelayedCasts(std::shared_ptr<const ServedBehaviour> served, FindSlot find_slot)
    : served_(std::move(served)),
      find_slot_(std::move(find_slot)),
      neighbours_(find_neighbours(core().store())),
      changes_(KnownGroup::changes_for_groups(*served_)) {}

void RelayedCasts::listen() {
  if (neighbours_ == nullptr || changes_ == nullptr || served_->has_rate()) return;
  auto listening = neighbours_->listen(
      relay_topic(core().tenant.prefix(), served_->type()),
      [weak = weak_from_this()](
          std::shared_ptr<NeighbourLink> link) -> std::shared_ptr<NeighbourReceiver> {
        const auto self = weak.lock();
        return self ? self->accept(std::move(link)) : nullptr;
      });
  if (!listening) {
    if (listening.error().kind() != ErrorKind::unsupported) {
      log_info("server", "casts to " + served_->type() + " from other processes go through the " +
                             "queue: " + listening.error().to_string());
    }
    return;
  }
  std::lock_guard lock(mutex_);
  if (!is_over_) listening_ = std::move(*listening);
}

RelayedCasts::~RelayedCasts() {
  for (const auto& visitor : visitors_) visitor->close();
}

void RelayedCasts::stop() {
  std::unique_ptr<Neighbours::Listening> listening;
  std::vector<VisitorPointer> visitors;
  std::deque<Unit> dropped;
  bool is_idle = false;
  {
    std::lock_guard lock(mutex_);
    is_over_ = true;
    listening = std::move(listening_);
    visitors = visitors_;
    leaving_ = visitors_;
    dropped.swap(waiting_);
    for (auto& unit : std::exchange(paused_, {})) dropped.push_back(std::move(unit));
    is_idle = running_ == 0;
  }
  listening.reset();
  for (auto& unit : dropped) unit.visitor->answer({{unit.casts.number, RelayAnswer::declined}});
  if (!is_idle) return;  // the last group that runs ends the links
  for (const auto& visitor : visitors) visitor->close();
}

Async<void> RelayedCasts::see_off_after_stop() {
  std::vector<VisitorPointer> leaving;
  {
    std::lock_guard lock(mutex_);
    SEMPER_ASSERT(is_over_ && running_ == 0, "nothing is taken any more");
    for (auto& visitor : std::exchange(leaving_, {})) {
      if (!visitor->is_open && visitor->is_settled(visitor->floor)) leaving.push_back(visitor);
    }
  }
  if (SEMPER_MUTANT("server_relayed_sessions_stay")) co_return Status{};
  for (const auto& visitor : leaving) {
    const Status ended = co_await visitor->end_session(core().store());
    if (!ended) co_return ended;
  }
  co_return Status{};
}

std::shared_ptr<NeighbourReceiver> RelayedCasts::accept(std::shared_ptr<NeighbourLink> link) {
  std::lock_guard lock(mutex_);
  if (is_over_ || visitors_.size() >= kRelayedLinks) return nullptr;
  if (!std::exchange(is_looking_after_, true)) {
    core().home.spawn([weak = weak_from_this()] { return look_after(weak); });
  }
  return visitors_.emplace_back(std::make_shared<Visitor>(weak_from_this(), core().home,
                                                          std::move(link), core().clock().now()));
}

Task<void> RelayedCasts::see_off(std::weak_ptr<RelayedCasts> weak, VisitorPointer visitor) {
  const auto self = weak.lock();
  if (!self) co_return;
  const Status ended = co_await visitor->end_session(self->core().store());
  static_cast<void>(ended);  // else a sweep does it, when the session's lease is over
  visitor->close();
}

// As long as there are visitors.
Task<void> RelayedCasts::look_after(std::weak_ptr<RelayedCasts> weak) {
  Clock* clock = nullptr;
  if (const auto self = weak.lock()) clock = &self->core().clock();
  while (clock != nullptr) {
    static_cast<void>(co_await sleep_for(*clock, kRelayedIdle));
    const auto self = weak.lock();
    if (!self) co_return;
    const auto idle = self->idle_visitors();
    if (!idle) co_return;
    for (const auto& visitor : *idle) co_await see_off(weak, visitor);
  }
}

// None: there are no visitors at all.
std::optional<std::vector<RelayedCasts::VisitorPointer>> RelayedCasts::idle_visitors() {
  std::lock_guard lock(mutex_);
  if (visitors_.empty() || is_over_) {
    is_looking_after_ = false;
    return std::nullopt;
  }
  std::vector<VisitorPointer> idle;
  const MonotonicTime now = core().clock().now();
  for (const auto& visitor : visitors_) {
    const bool is_idle = now - visitor->came_at >= kRelayedIdle &&
                         (visitor->under_way == 0 || SEMPER_MUTANT("server_relayed_idle_at_work"));
    if (is_idle && visitor->is_settled(visitor->floor)) idle.push_back(visitor);
  }
  return idle;
}

void RelayedCasts::forget(const VisitorPointer& visitor) {
  std::deque<Unit> dropped;  // destroyed without the lock
  std::lock_guard lock(mutex_);
  std::erase(visitors_, visitor);
  for (auto& unit : std::exchange(waiting_, {})) {
    auto& to = unit.visitor == visitor ? dropped : waiting_;
    to.push_back(std::move(unit));
  }
  for (const auto& unit : paused_) {
    if (unit.visitor == visitor) at_work_.erase(unit.casts.id);
  }
  std::erase_if(paused_, [&](const Unit& unit) { return unit.visitor == visitor; });
}

void RelayedCasts::on_casts(const VisitorPointer& visitor, RelayCasts casts) {
  RelayAnswers declined;
  {
    std::lock_guard lock(mutex_);
    visitor->floor = std::max(visitor->floor, casts.floor);
    visitor->came_at = core().clock().now();
    for (auto& unit : casts.units) {
      if (is_over_ || waiting_.size() >= kRelayedUnits) {
        declined.emplace_back(unit.number, RelayAnswer::declined);
      } else {
        waiting_.push_back(Unit{visitor, std::move(unit)});
        ++visitor->under_way;
      }
    }
  }
  if (!declined.empty()) {
    core().home.post([visitor, declined = std::move(declined)] { visitor->answer(declined); });
  }
  // Later, so that what the loop hears of in this turn is in it.
  core().home.post([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->begin();
  });
}

void RelayedCasts::begin() {
  while (may_begin()) {
    auto inside = core().gate.enter();
    if (!inside) return;
    auto running = std::make_shared<Running>(shared_from_this(), std::move(*inside));
    if (!take_for(*running)) return;
    asio::co_spawn(core().home.executor(), run(std::move(running)), asio::detached);
  }
}

bool RelayedCasts::may_begin() {
  std::lock_guard lock(mutex_);
  return !is_over_ && !waiting_.empty() && running_ < kRelayedGroupsAtOnce;
}

bool RelayedCasts::take_for(Running& running) {
  std::lock_guard lock(mutex_);
  if (is_over_ || running_ >= kRelayedGroupsAtOnce) return false;
  running.units = take();
  if (running.units.empty()) return false;
  running.is_counted = true;
  ++running_;
  return true;
}

std::vector<RelayedCasts::Unit> RelayedCasts::take() {
  std::vector<Unit> taken;
  std::vector<Unit> behind;  // others that are at work
  while (!waiting_.empty() && taken.size() < most_ && behind.size() < kRelayedBehind) {
    Unit unit = std::move(waiting_.front());
    waiting_.pop_front();
    const bool is_free = at_work_.insert(unit.casts.id).second;
    unit.floor = unit.visitor->floor;
    auto& to = is_free ? taken : behind;
    to.push_back(std::move(unit));
  }
  // So many at once come of a publisher that has more than one under way: others are looked at
  // first.
  const auto to = behind.size() < kRelayedBehind ? waiting_.begin() : waiting_.end();
  waiting_.insert(to, std::make_move_iterator(behind.begin()),
                  std::make_move_iterator(behind.end()));
  return taken;
}

Task<void> RelayedCasts::run(std::shared_ptr<Running> running) {
  auto& casts = running->casts();
  while (!running->units.empty()) {
    const bool went_well = co_await casts.run_together(running->units);
    casts.after(running->units, went_well);
    co_await asio::post(asio::use_awaitable);
    std::lock_guard lock(casts.mutex_);
    if (!casts.is_over_) running->units = casts.take();
  }
  std::vector<VisitorPointer> visitors;
  {
    std::lock_guard lock(casts.mutex_);
    if (casts.is_over_ && casts.running_ == 1) visitors = casts.visitors_;
  }
  for (const auto& visitor : visitors) visitor->close();
}

// Each unit has its answer then, or is open.
Task<bool> RelayedCasts::run_together(std::vector<Unit>& units) {
  Group group = enter(units);
  Status status = co_await learn(group);
  if (status && !group.members.empty()) {
    const KnownGroup known(*served_, *changes_);
    const KnownGroup::More and_mark = [this, &group](Transaction& transaction, Version began_at) {
      return mark(transaction, began_at, group);
    };
    status = co_await known.attempt(group.members, and_mark);
    conclude(group, status);
    if (!status) known.undo(group.members, status.error());
  }
  for (auto& member : group.members) leave(std::move(member));
  co_return status.has_value();
}

// Those whose entity rests. The others are declined.
RelayedCasts::Group RelayedCasts::enter(std::vector<Unit>& units) {
  Group group;
  group.members.reserve(units.size());
  for (auto& unit : units) {
    const auto slot = find_slot_(unit.casts.id);
    const bool may_be = slot && slot->target().valid;
    auto turn = may_be ? slot->join_group_with_ticks() : std::nullopt;
    unit.waits = may_be && !turn && !slot->attends_lock();
    if (!turn) continue;
    Operation operation{Event::cast, false, unit.casts.messages, {}, kNever};
    operation.loop = core().home.context();
    std::vector<Operation> one;
    one.push_back(std::move(operation));
    group.members.push_back(std::make_unique<KnownMember>(std::move(*turn), std::move(one)));
    group.units.push_back(&unit);
  }
  return group;
}

// Reads what is not known: of the publishers' sessions, and of the entities. Who is unfit leaves.
Async<void> RelayedCasts::learn(Group& group) {
  const auto newest = changes_->newest_known();
  if (!newest) co_return fail(ErrorKind::conflict, "nothing is known of changes");
  Transaction reader = core().store().begin();
  for (std::size_t i = 0; i < group.members.size();) {
    auto& visitor = *group.units[i]->visitor;
    auto& member = *group.members[i];
    if (!visitor.is_known(*changes_, *newest)) SEMPER_CO_TRY_STATUS(co_await visitor.look(reader));
    bool is_fit = visitor.has_session();
    if (is_fit && !member.batch.is_known_at(*changes_, *newest)) {
      SEMPER_CO_TRY(is_fit, co_await member.batch.look(reader, member.effects));
      group.units[i]->waits = is_fit && member.batch.has_queue();
      is_fit = is_fit && !group.units[i]->waits;
    }
    if (is_fit) {
      ++i;
      continue;
    }
    const auto place = static_cast<std::ptrdiff_t>(i);
    // What is in the queue is before it, and is seen to.
    group.members[i]->took_effect = group.units[i]->waits;
    leave(std::move(group.members[i]));
    group.members.erase(group.members.begin() + place);
    group.units.erase(group.units.begin() + place);
  }
  co_return Status{};
}

Status RelayedCasts::mark(Transaction& transaction, Version began_at, Group& group) const {
  auto& given = group.given;
  for (std::size_t i = 0; i < group.members.size(); ++i) {
    if (!group.has_run(i)) continue;
    const Unit& unit = *group.units[i];
    auto to = std::find_if(given.begin(), given.end(),
                           [&](const Given& one) { return one.visitor == unit.visitor; });
    if (to == given.end()) to = given.insert(to, Given{unit.visitor, unit.floor, {}, 0});
    to->numbers.push_back(unit.casts.number);
  }
  const MonotonicTime now = core().clock().now();
  for (auto& one : given) {
    const bool is_known = one.visitor->is_known(*changes_, began_at) ||
                          SEMPER_MUTANT("server_relay_known_before_it_began");
    if (!is_known) return fail(ErrorKind::conflict, "a publisher has ended its session");
    one.commit = one.visitor->mark(transaction, one.numbers, one.floor, now);
  }
  return {};
}

// What is said of the units: nothing where nobody knows.
void RelayedCasts::conclude(Group& group, const Status& status) {
  const bool is_unknown = !status && status.error().kind() == ErrorKind::outcome_unknown;
  for (std::size_t i = 0; i < group.members.size(); ++i) {
    if (!group.has_run(i)) continue;
    group.units[i]->is_open = is_unknown;
    if (status) group.units[i]->answer = RelayAnswer::taken;
  }
  if (!status) return;
  for (const auto& one : group.given) {
    const auto highest = std::max_element(one.numbers.begin(), one.numbers.end());
    one.visitor->marked(one.commit, *highest, one.floor);
  }
}

// Its entity goes on with what came meanwhile.
void RelayedCasts::leave(std::unique_ptr<KnownMember> member) {
  const auto slot = member->running.slot();
  const Executor home = slot->home();
  member->batch.drop_operations();
  if (!member->is_done) {
    return Slot::leave_group(std::move(member->running), member->outcome, !member->took_effect);
  }
  auto rest = Slot::leave_local_group(std::move(member->running), member->outcome);
  if (rest) asio::co_spawn(home, Slot::run(std::move(*rest)), asio::detached);
}

void RelayedCasts::after(std::vector<Unit>& units, bool went_well) {
  std::vector<std::pair<VisitorPointer, RelayAnswers>> answers;
  bool pauses = false;
  {
    std::lock_guard lock(mutex_);
    pauses = put_back(units);
    for (const auto& unit : units) {
      at_work_.erase(unit.casts.id);
      --unit.visitor->under_way;
      unit.visitor->is_open = unit.visitor->is_open || unit.is_open;
    }
    most_ = went_well ? std::min(most_ + kRelayedGrowth, kRelayedGroupEntities)
                      : std::max<std::size_t>(most_ / 2, 1);
  }
  for (const auto& unit : units) {
    auto to = std::find_if(answers.begin(), answers.end(),
                           [&](const auto& one) { return one.first == unit.visitor; });
    if (to == answers.end()) to = answers.insert(to, {unit.visitor, {}});
    if (!unit.is_open) to->second.emplace_back(unit.casts.number, unit.answer);
  }
  for (const auto& [visitor, answer] : answers) visitor->answer(answer);
  for (const auto& unit : units) {
    if (unit.is_open || !unit.visitor->has_session()) unit.visitor->close();
  }
  units.clear();
  if (pauses) asio::co_spawn(core().home.executor(), begin_later(weak_from_this()), asio::detached);
}

// With the lock: those that wait, before all others. True: somebody has to look at them later.
bool RelayedCasts::put_back(std::vector<Unit>& units) {
  const auto waits = [this](const Unit& unit) {
    return unit.waits && unit.tries < kRelayedTries && !is_over_;
  };
  std::vector<Unit> back;
  for (auto& unit : units) {
    if (!waits(unit)) continue;
    ++unit.tries;
    back.push_back(std::move(unit));
    unit.visitor.reset();
  }
  std::erase_if(units, [](const Unit& unit) { return !unit.visitor; });
  if (back.empty()) return false;
  for (auto& unit : back) unit.waits = false;
  paused_.insert(paused_.end(), std::make_move_iterator(back.begin()),
                 std::make_move_iterator(back.end()));
  return !std::exchange(is_pausing_, true);
}

Task<void> RelayedCasts::begin_later(std::weak_ptr<RelayedCasts> weak) {
  Clock* clock = nullptr;
  if (const auto self = weak.lock()) clock = &self->core().clock();
  if (clock == nullptr) co_return;
  static_cast<void>(co_await sleep_for(*clock, kRelayedPause));
  const auto self = weak.lock();
  if (!self) co_return;
  {
    std::lock_guard lock(self->mutex_);
    self->is_pausing_ = false;
    for (const auto& unit : self->paused_) self->at_work_.erase(unit.casts.id);
    self->waiting_.insert(self->waiting_.begin(), std::make_move_iterator(self->paused_.begin()),
                          std::make_move_iterator(self->paused_.end()));
    self->paused_.clear();
  }
  self->begin();
}

}  // namespace semper::internal
