#include "server/send/relay.h"

#include <unistd.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "semper/base/assert.h"
#include "semper/base/internal/mutant.h"
#include "semper/base/log.h"
#include "server/format/enqueue.h"
#include "server/format/keys.h"
#include "server/send/sessions.h"

namespace semper::internal {
namespace {

// Rows of marks that are read at a time.
constexpr std::size_t kMarksPerPage = 256;

Error not_found_out() {
  return Error(ErrorKind::outcome_unknown,
               "the host that was handed the message did not answer, and what it has done was not "
               "found out; the message may have been processed");
}

Bytes first_renewal() {
  return encode_alive({"process " + std::to_string(getpid()), 1, 0, {}});
}

}  // namespace

// A cast of a caller of this process. All but the first line: with the relay's lock.
struct Relay::Cast {
  enum class Place : std::uint8_t {
    untracked,  // in the queue's way, from before there was a link
    waits,      // for the casts to its entity that are under way
    in_unit,    // under way to the host
    queue,      // its caller sends it through the queue
    over
  };

  std::string id;  // not the target, which has this relay
  std::vector<RawMessage> messages;
  std::size_t bytes = 0;

  Place place = Place::untracked;
  bool is_left = false;                     // the caller is gone
  bool is_unknown = false;                  // `over`, and nobody knows how
  std::optional<OneShot<Verdict>> arrival;  // while it waits
};

// The caller's: however its coroutine ends, what comes behind it goes on.
class Relay::Holding {
 public:
  Holding(std::shared_ptr<Relay> relay, CastPointer cast)
      : relay_(std::move(relay)), cast_(std::move(cast)) {}
  Holding(const Holding&) = delete;
  Holding& operator=(const Holding&) = delete;
  ~Holding() { relay_->leave(cast_); }

 private:
  const std::shared_ptr<Relay> relay_;
  const CastPointer cast_;
};

class Relay::Receiver final : public NeighbourReceiver {
 public:
  Receiver(std::weak_ptr<Relay> relay, std::uint64_t link)
      : relay_(std::move(relay)), link_(link) {}
  void on_message(Bytes message) override {
    if (const auto relay = relay_.lock()) relay->on_answers(link_, message);
  }
  void on_end(const Error&) override {
    if (const auto relay = relay_.lock()) relay->on_end(link_);
  }

 private:
  const std::weak_ptr<Relay> relay_;
  const std::uint64_t link_;
};

// Sends what has gathered in one turn of a loop; also where the loop goes before.
class Relay::Flusher {
 public:
  Flusher(std::shared_ptr<Relay> relay, const void* loop) : relay_(std::move(relay)), loop_(loop) {}
  Flusher(const Flusher&) = delete;
  Flusher& operator=(const Flusher&) = delete;
  ~Flusher() {
    {
      std::lock_guard lock(relay_->mutex_);
      relay_->flushing_on_.erase(loop_);
    }
    relay_->flush();
  }

 private:
  const std::shared_ptr<Relay> relay_;
  const void* const loop_;
};

// Begins a link. Where that does not come about, another caller may try, later.
class Relay::Starting {
 public:
  Starting(std::shared_ptr<Relay> relay, std::uint64_t link)
      : relay_(std::move(relay)), link_(link) {}
  Starting(const Starting&) = delete;
  Starting& operator=(const Starting&) = delete;
  ~Starting() {
    if (!is_up) relay_->on_end(link_);
  }

  const std::shared_ptr<Relay>& relay() const { return relay_; }
  std::uint64_t link() const { return link_; }
  bool is_up = false;

 private:
  const std::shared_ptr<Relay> relay_;
  const std::uint64_t link_;
};

// Who finds out. Where that is not done, whoever waits longest without a verdict does it.
class Relay::Resolving {
 public:
  explicit Resolving(Relay& relay) : relay_(relay) {}
  Resolving(const Resolving&) = delete;
  Resolving& operator=(const Resolving&) = delete;
  ~Resolving() {
    Verdicts verdicts;
    {
      std::lock_guard lock(relay_.mutex_);
      relay_.resolving_ = false;
      relay_.drop_where_nobody_waits(verdicts);
    }
    OneShot<Verdict>::set_all(std::move(verdicts));
  }

 private:
  Relay& relay_;
};

Relay::Relay(Tenant tenant, const std::string& type, Neighbours& neighbours,
             std::shared_ptr<Outbox> outbox)
    : tenant_(std::move(tenant)),
      topic_(relay_topic(tenant_.prefix(), type)),
      neighbours_(neighbours),
      outbox_(std::move(outbox)) {}

Relay::~Relay() {
  if (link_ && in_flight_.empty()) static_cast<void>(link_->send(encode_relay_goodbye()));
}

Async<void> Relay::cast(std::shared_ptr<const Target> target, std::vector<RawMessage> messages) {
  const auto cast = std::make_shared<Cast>();
  const auto& limits = tenant_.store()->limits();
  for (const auto& message : messages) {
    SEMPER_CO_TRY_STATUS(check_message_size(message, {}, limits));
    cast->bytes += queued_size(message);
  }
  cast->id = target->id.id;
  cast->messages = std::move(messages);
  const Executor from = without_tag(co_await asio::this_coro::executor);
  const auto self = shared_from_this();
  const bool waits = enter(cast, from);
  const Holding until_the_end(self, cast);
  if (waits) {
    SEMPER_CO_TRY(const bool is_taken, co_await wait(cast));
    if (is_taken) co_return Status{};
  }
  co_return co_await outbox_->cast(target, std::move(cast->messages), nullptr);
}

// True: it was taken. False: the caller sends it through the queue.
Async<bool> Relay::wait(CastPointer cast) {
  Clock& clock = *tenant_.store()->env().clock;
  while (true) {
    OneShot<Verdict> arrival;
    {
      std::lock_guard lock(mutex_);
      const bool waits = cast->place == Cast::Place::waits || cast->place == Cast::Place::in_unit;
      if (cast->is_unknown) co_return fail(not_found_out());
      if (!waits) co_return cast->place == Cast::Place::over;
      arrival = *cast->arrival;
    }
    auto verdict = co_await arrival.wait_until(clock, clock.after(kRelayPatience));
    if (!verdict && verdict.error().kind() != ErrorKind::timeout) co_return fail(verdict.error());
    if (verdict && *verdict != Verdict::look) continue;  // it is decided
    if (should_resolve()) SEMPER_CO_TRY_STATUS(co_await resolve());
  }
}

// True: it waits for a verdict.
bool Relay::enter(const CastPointer& cast, const Executor& from) {
  bool waits = false;
  bool flushes = false;
  std::shared_ptr<Starting> starting;
  const void* const loop = context_of(from);
  {
    std::lock_guard lock(mutex_);
    if (state_ == State::off) starting = begin_to_start();
    flushes = place(cast) && flushing_on_.insert(loop).second;
    waits = cast->arrival.has_value();
    check();
  }
  if (starting) {
    asio::post(from, [from, starting = std::move(starting)]() mutable {
      asio::co_spawn(from, start(std::move(starting)), asio::detached);
    });
  }
  if (!flushes) return waits;
  // Later, so that what comes in this turn of the loop goes along.
  asio::post(from, [flusher = std::make_shared<Flusher>(shared_from_this(), loop)]() mutable {
    flusher.reset();
  });
  return waits;
}

// With the lock. True: it is under way to the host.
bool Relay::place(const CastPointer& cast) {
  const std::string& id = cast->id;
  auto lane = lanes_.find(id);
  if (lane == lanes_.end() && state_ == State::off) {
    ++untracked_;
    return false;
  }
  if (lane == lanes_.end()) lane = lanes_.try_emplace(id).first;
  Lane& to = lane->second;
  const bool is_free = to.under_way == 0;
  if (to.in_queue || (is_free && (state_ != State::on || !may_take(*cast)))) {
    to.in_queue = true;
    ++to.under_way;
    cast->place = Cast::Place::queue;
    return false;
  }
  cast->place = Cast::Place::waits;
  cast->arrival.emplace();
  to.waiting.push_back(cast);
  if (is_free) take_unit(to);
  return is_free;
}

bool Relay::may_take(const Cast& cast) const {
  return bytes_ + cast.bytes <= kRelayBytes && cast.bytes <= kRelayUnitBytes &&
         cast.messages.size() <= kRelayUnitMessages;
}

// The first of those that wait, and what fits to it.
void Relay::take_unit(Lane& lane) {
  const std::uint64_t number = ++last_number_;
  Unit& unit = in_flight_[number];
  std::size_t messages = 0;
  std::size_t bytes = 0;
  while (!lane.waiting.empty()) {
    const auto& cast = lane.waiting.front();
    const bool fits = messages + cast->messages.size() <= kRelayUnitMessages &&
                      bytes + cast->bytes <= kRelayUnitBytes && may_take(*cast);
    if (!fits && !unit.casts.empty()) break;
    messages += cast->messages.size();
    bytes += cast->bytes;
    bytes_ += cast->bytes;
    cast->place = Cast::Place::in_unit;
    unit.casts.push_back(cast);
    lane.waiting.pop_front();
  }
  lane.under_way = unit.casts.size();
  outgoing_.push_back(number);
}

// Nothing of the lane is under way any more.
void Relay::next(const std::string& id, Verdicts& verdicts) {
  const auto lane = lanes_.find(id);
  SEMPER_ASSERT(lane != lanes_.end() && lane->second.under_way == 0,
                "a lane goes on when it is free");
  Lane& free = lane->second;
  free.in_queue = false;
  if (free.waiting.empty()) {
    lanes_.erase(lane);
  } else if (state_ == State::on && free.waiting.size() < kRelayHot &&
             may_take(*free.waiting.front())) {
    take_unit(free);
  } else {
    to_queue(free, verdicts);
  }
}

void Relay::to_queue(Lane& lane, Verdicts& verdicts) {
  lane.in_queue = true;
  lane.under_way += lane.waiting.size();
  for (auto& cast : std::exchange(lane.waiting, {})) to_queue(*cast, verdicts);
}

void Relay::to_queue(Cast& cast, Verdicts& verdicts) {
  cast.place = Cast::Place::queue;
  verdicts.emplace_back(*cast.arrival, Verdict::queue);
}

void Relay::leave(const CastPointer& cast) {
  Verdicts verdicts;
  bool flushes = false;
  std::shared_ptr<NeighbourLink> to_tell;
  std::uint64_t known = 0;
  {
    std::lock_guard lock(mutex_);
    const std::size_t before = outgoing_.size();
    cast->is_left = true;
    const std::string& id = cast->id;
    switch (cast->place) {
      case Cast::Place::untracked:
        --untracked_;
        link_is_up_to_date();
        break;
      case Cast::Place::waits: {
        auto& waiting = lanes_.at(id).waiting;
        std::erase(waiting, cast);
        break;
      }
      case Cast::Place::queue: {
        cast->place = Cast::Place::over;
        auto& lane = lanes_.at(id);
        if (--lane.under_way == 0) next(id, verdicts);
        break;
      }
      case Cast::Place::in_unit:  // settled with its unit
        drop_where_nobody_waits(verdicts);
        break;
      case Cast::Place::over:
        break;
    }
    flushes = outgoing_.size() > before;
    // So that the host knows that its marks are of no more use.
    if (in_flight_.empty() && link_ && std::exchange(told_, last_number_) != last_number_) {
      to_tell = link_;
      known = last_number_;
    }
    check();
  }
  if (to_tell) static_cast<void>(to_tell->send(RelayCastsWriter(known).finish()));
  OneShot<Verdict>::set_all(std::move(verdicts));
  if (flushes) flush();
}

void Relay::settle(Unit unit, RelayAnswer answer, Verdicts& verdicts) {
  const std::string& id = unit.casts.front()->id;
  auto& lane = lanes_.at(id);
  for (auto& cast : unit.casts) {
    bytes_ -= cast->bytes;
    if (answer == RelayAnswer::taken) {
      cast->place = Cast::Place::over;
      verdicts.emplace_back(*cast->arrival, Verdict::taken);
      --lane.under_way;
    } else if (cast->is_left) {  // nobody knows what became of it, and it was not sent
      cast->place = Cast::Place::over;
      --lane.under_way;
    } else {
      to_queue(*cast, verdicts);
    }
  }
  if (lane.under_way == 0) return next(id, verdicts);
  to_queue(lane, verdicts);  // what waits comes behind
}

void Relay::flush() {
  while (true) {
    std::uint64_t link = 0;
    std::shared_ptr<NeighbourLink> to;
    const Bytes frame = take_frame(link, to);
    if (frame.empty()) return;
    if (to->send(frame)) continue;
    to->close();
    on_end(link);
    return;
  }
}

// Empty: there is nothing to send, or nobody to send it to.
Bytes Relay::take_frame(std::uint64_t& link, std::shared_ptr<NeighbourLink>& to) {
  std::lock_guard lock(mutex_);
  if (outgoing_.empty() || !link_) return {};
  link = links_;
  to = link_;
  RelayCastsWriter writer(in_flight_.begin()->first - 1);
  const MonotonicTime now = tenant_.store()->env().clock->now();
  std::size_t taken = 0;
  while (taken < outgoing_.size() && writer.count() < kRelayUnitsPerMessage &&
         writer.size_bytes() < kRelayMessageBytes) {
    const std::uint64_t number = outgoing_[taken++];
    Unit& unit = in_flight_.at(number);
    unit.sent_at = now;
    SegmentWriter segment;
    for (const auto& cast : unit.casts) {
      for (const auto& message : cast->messages) segment.add(Event::cast, message, {});
    }
    writer.add(number, unit.casts.front()->id, segment.finish());
  }
  outgoing_.erase(outgoing_.begin(), outgoing_.begin() + static_cast<std::ptrdiff_t>(taken));
  return writer.finish();
}

void Relay::on_answers(std::uint64_t link, const Bytes& bytes) {
  auto answers = decode_relay_answers(bytes);
  Verdicts verdicts;
  std::shared_ptr<NeighbourLink> useless;
  {
    std::lock_guard lock(mutex_);
    if (link != links_ || !link_) return;
    if (!answers) useless = link_;
    if (answers) {
      for (const auto& [number, answer] : *answers) {
        const auto found = in_flight_.find(number);
        if (found == in_flight_.end()) continue;
        Unit unit = std::move(found->second);
        in_flight_.erase(found);
        ++(answer == RelayAnswer::taken ? taken_ : declined_);
        settle(std::move(unit), answer, verdicts);
      }
      if (is_of_no_use()) useless = link_;
    }
    check();
  }
  if (!answers) {
    log_warning("server", "a host of this machine is not understood, and is handed nothing: " +
                              answers.error().to_string());
  }
  if (useless) {
    useless->close();
    on_end(link);
  }
  OneShot<Verdict>::set_all(std::move(verdicts));
  flush();
}

bool Relay::is_of_no_use() {
  if (taken_ > 0) pause_ = kRelayPause;
  if (taken_ + declined_ < kRelayTrial || SEMPER_MUTANT("server_relay_of_any_use")) return false;
  const bool is_so = std::exchange(declined_, 0) > 3 * std::exchange(taken_, 0);
  if (is_so) pause_ = kRelayPauseMaximum / 4;
  return is_so;
}

void Relay::on_end(std::uint64_t link) {
  std::shared_ptr<NeighbourLink> ended;  // given up without the lock
  std::vector<std::pair<OneShot<Verdict>, Verdict>> verdicts;
  {
    std::lock_guard lock(mutex_);
    if (link != links_ || (state_ != State::on && state_ != State::starting)) return;
    ended.swap(link_);
    not_before_ = tenant_.store()->env().clock->after(pause_);
    pause_ = std::min(2 * pause_, kRelayPauseMaximum);
    // Where nothing is open, the session's rows are of no use; a host takes them away.
    if (state_ == State::on && in_flight_.empty()) session_.clear();
    state_ = in_flight_.empty() ? State::off : State::broken;
    outgoing_.clear();
    // One that waits finds out; where it does not, another one at its next look.
    for (auto& [number, unit] : in_flight_) {
      for (auto& cast : unit.casts) {
        if (cast->is_left || !verdicts.empty()) continue;
        verdicts.emplace_back(std::exchange(*cast->arrival, OneShot<Verdict>()), Verdict::look);
      }
    }
    drop_where_nobody_waits(verdicts);
    check();
  }
  OneShot<Verdict>::set_all(std::move(verdicts));
}

// What nobody waits for any more need not be found out.
void Relay::drop_where_nobody_waits(Verdicts& verdicts) {
  if (state_ != State::broken || resolving_) return;
  for (const auto& [number, unit] : in_flight_) {
    for (const auto& cast : unit.casts) {
      if (!cast->is_left) return;
    }
  }
  state_ = State::off;
  session_.clear();
  for (auto& [number, unit] : std::exchange(in_flight_, {})) {
    settle(std::move(unit), RelayAnswer::declined, verdicts);
  }
}

bool Relay::should_resolve() {
  std::shared_ptr<NeighbourLink> silent;
  std::uint64_t link = 0;
  {
    std::lock_guard lock(mutex_);
    if (state_ == State::on) {
      const MonotonicTime now = tenant_.store()->env().clock->now();
      const bool is_late = std::any_of(in_flight_.begin(), in_flight_.end(), [&](const auto& one) {
        return one.second.sent_at != kNever && now - one.second.sent_at >= kRelayPatience;
      });
      if (is_late) silent = link_;
      link = links_;
    }
  }
  if (silent) {
    silent->close();
    on_end(link);
  }
  std::lock_guard lock(mutex_);
  if (state_ != State::broken || resolving_) return false;
  resolving_ = true;
  return true;
}

// In one transaction: nobody commits for the session any more, and what has been is read.
Async<void> Relay::resolve() {
  const auto self = shared_from_this();
  const Resolving until_the_end(*this);
  const Bytes session = session_;  // nobody changes it while the state is `broken`
  const Bytes& prefix = tenant_.prefix();
  const Bytes relay = relay_key(prefix, session);
  std::set<std::uint64_t> taken;
  bool is_known = false;
  const auto look = [&](Transaction& transaction) -> Async<void> {
    taken.clear();
    SEMPER_CO_TRY(const auto row, co_await transaction.get(session_key(prefix, session)));
    is_known = row.has_value();
    if (!SEMPER_MUTANT("server_relay_not_fenced")) transaction.clear(relay);
    KeyRange rest = relay_marks(relay);
    while (true) {
      SEMPER_CO_TRY(const auto page,
                    co_await transaction.get_range(rest, {.limit = kMarksPerPage}));
      for (const auto& mark : page.rows) {
        SEMPER_CO_TRY(const auto numbers, decode_relay_mark(mark.value));
        taken.insert(numbers.begin(), numbers.end());
        rest.begin = key_after(mark.key);
      }
      if (page.rows.empty() || !page.more) break;
    }
    co_return Status{};
  };
  const Status looked = co_await tenant_.store()->transact(look);
  if (!looked && looked.error().kind() == ErrorKind::cancelled) co_return looked;
  // The session's rows are taken away when its lease is over, or by a host that had nothing left to
  // tell: what was sent since is not in them.
  const MonotonicTime lately = tenant_.store()->env().clock->now() - kSessionLease / 2;
  Verdicts verdicts;
  {
    std::lock_guard lock(mutex_);
    state_ = State::off;
    session_.clear();
    for (auto& [number, unit] : std::exchange(in_flight_, {})) {
      const bool was_taken = taken.contains(number) && !SEMPER_MUTANT("server_relay_sent_again");
      const bool is_lately =
          (unit.sent_at > lately && !SEMPER_MUTANT("server_relay_seen_off_is_unknown")) ||
          SEMPER_MUTANT("server_relay_guesses");
      const bool is_found_out = looked && (is_known || is_lately);
      if (is_found_out) {
        settle(std::move(unit), was_taken ? RelayAnswer::taken : RelayAnswer::declined, verdicts);
        continue;
      }
      leave_open(std::move(unit), verdicts);
    }
    check();
  }
  OneShot<Verdict>::set_all(std::move(verdicts));
  co_return co_await clean_up(session);
}

void Relay::leave_open(Unit unit, Verdicts& verdicts) {
  for (auto& cast : unit.casts) {
    bytes_ -= cast->bytes;
    cast->place = Cast::Place::over;
    cast->is_unknown = true;
    verdicts.emplace_back(*cast->arrival, Verdict::unknown);
  }
  const std::string& id = unit.casts.front()->id;
  lanes_.at(id).under_way = 0;
  next(id, verdicts);
}

// Else a host does it, when the session's lease is over.
Async<void> Relay::clean_up(Bytes session) {
  const KeyRange all = everything_of_session(tenant_.prefix(), session);
  const auto remove = [all](Transaction& transaction) -> Async<void> {
    transaction.clear_range(all);
    co_return Status{};
  };
  static_cast<void>(co_await tenant_.store()->transact(remove));
  co_return Status{};
}

// With the lock. Null: there is nobody, or it is not worth while.
std::shared_ptr<Relay::Starting> Relay::begin_to_start() {
  const MonotonicTime now = tenant_.store()->env().clock->now();
  if (now - counted_since_ > kRelayWorthWithin) {
    counted_since_ = now;
    counted_ = 0;
  }
  if (++counted_ < kRelayWorth || now < not_before_ || !neighbours_.has_listener(topic_)) {
    return nullptr;
  }
  state_ = State::starting;
  return std::make_shared<Starting>(shared_from_this(), ++links_);
}

Task<void> Relay::start(std::shared_ptr<Starting> starting) {
  const auto self = starting->relay();
  Bytes session;
  {
    std::lock_guard lock(self->mutex_);
    session = self->session_;
  }
  if (session.empty()) {
    session = self->tenant_.store()->env().random->bytes(kSessionBytes);
    const Status begun = co_await self->begin_session(session);
    if (!begun) co_return;
    std::lock_guard lock(self->mutex_);
    if (self->links_ == starting->link()) self->session_ = session;
  }
  auto receiver = std::make_shared<Receiver>(self, starting->link());
  auto link = self->neighbours_.connect(self->topic_, std::move(receiver));
  if (!link || !(*link)->send(encode_relay_hello(session))) co_return;
  std::lock_guard lock(self->mutex_);
  if (self->links_ != starting->link() || self->state_ != State::starting) co_return;
  self->link_ = std::move(*link);
  starting->is_up = true;
  self->link_is_up_to_date();
}

Async<void> Relay::begin_session(Bytes session) {
  const Bytes row = session_key(tenant_.prefix(), session);
  const Bytes relay = relay_key(tenant_.prefix(), session);
  const auto begin = [row, relay](Transaction& transaction) -> Async<void> {
    transaction.set(row, first_renewal());
    transaction.set(relay, {});
    co_return Status{};
  };
  co_return co_await tenant_.store()->transact(begin);
}

// What went through the queue before is there.
void Relay::link_is_up_to_date() {
  if (state_ == State::starting && link_ && untracked_ == 0) state_ = State::on;
}

void Relay::check() const {
  SEMPER_ASSERT(bytes_ <= kRelayBytes, "what is under way has a bound");
  SEMPER_ASSERT(outgoing_.size() <= in_flight_.size(), "what is to be sent is under way");
  SEMPER_ASSERT(!in_flight_.empty() || bytes_ == 0, "what was answered is no longer counted");
  SEMPER_ASSERT(state_ == State::on || outgoing_.empty(), "only a link that is up is handed casts");
}

Relays::Relays(Tenant tenant, std::shared_ptr<Outbox> outbox)
    : tenant_(std::move(tenant)),
      neighbours_(find_neighbours(*tenant_.store())),
      outbox_(std::move(outbox)) {}

std::shared_ptr<Relay> Relays::to(const std::string& type) {
  if (neighbours_ == nullptr) return nullptr;
  std::lock_guard lock(mutex_);
  auto& relay = relays_[type];
  if (!relay) relay = std::make_shared<Relay>(tenant_, type, *neighbours_, outbox_);
  return relay;
}

}  // namespace semper::internal
