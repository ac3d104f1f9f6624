#include "server/format/orders.h"

#include <algorithm>
#include <utility>

#include "semper/base/cbor.h"
#include "semper/base/internal/mutant.h"
#include "server/format/half_full.h"
#include "server/format/idempotency.h"
#include "server/format/replies.h"
#include "server/format/timer_book.h"

namespace semper::internal {
namespace {

// What a reply of `closed` takes in a transaction, with its key, at most.
constexpr std::size_t kClosedReplyBytes = 512 + 2 * kEntityIdBytesMaximum;

std::size_t most_calls(const Limits& limits) {
  // A reply, and the wake-up of its session.
  const std::size_t by_operations = limits.transaction_operations / 4;
  const std::size_t by_bytes = limits.transaction_bytes / 4 / kClosedReplyBytes;
  return std::clamp<std::size_t>(std::min(by_operations, by_bytes), 1, kRemovedCalls);
}

KeyRange dead_queue(const EntityKeys& keys, const Order& order) {
  if (SEMPER_MUTANT("server_kill_takes_what_came_after_it")) return keys.queue();
  return {keys.queue().begin, keys.queue_segment_at(order.stamp)};
}

Async<std::optional<Order>> read_order(Transaction& transaction, const EntityKeys& keys) {
  SEMPER_CO_TRY(const auto raw, co_await transaction.get(keys.order()));
  if (!raw) co_return std::nullopt;
  SEMPER_CO_TRY(auto order, Order::decode(*raw));
  co_return std::move(order);
}

void give(Transaction& transaction, const EntityKeys& keys, Order::Kind kind,
          std::optional<std::uint64_t> unlocks = {}) {
  Order order;
  order.kind = kind;
  order.unlocks = unlocks;
  transaction.set_versionstamped_value(keys.order(), order.encode(), 0);
  transaction.add_write_conflict_range(KeyRange::point(keys.header()));
}

// A removal's transaction.
class Removal {
 public:
  Removal(Transaction& transaction, const Target& target)
      : transaction_(&transaction), target_(&target), keys_(&target.keys) {}

  // True: nothing is left.
  Async<bool> run() {
    SEMPER_CO_TRY(auto order, co_await read_order(*transaction_, *keys_));
    if (!order || order->kind != Order::Kind::kill) co_return true;
    SEMPER_CO_TRY(const bool queue_is_gone, co_await remove_queue(*order));
    bool letters_are_gone = false;
    if (queue_is_gone) {
      SEMPER_CO_TRY(letters_are_gone, co_await remove_letters());
    }
    bool timers_are_gone = false;
    if (letters_are_gone) {
      SEMPER_CO_TRY(timers_are_gone, co_await remove_timers(*order));
    }
    bool keys_are_gone = false;
    if (timers_are_gone) {
      SEMPER_CO_TRY(keys_are_gone, co_await remove_keys(*order));
    }
    bool collections_are_gone = false;
    if (keys_are_gone) {
      SEMPER_CO_TRY(collections_are_gone, co_await clear_collections(*transaction_, *keys_));
    }
    if (collections_are_gone) {
      SEMPER_CO_TRY_STATUS(co_await finish());
    } else {
      transaction_->set(keys_->order(), order->encode());
    }
    co_return collections_are_gone;
  }

 private:
  // The oldest segments; their callers get `closed`.
  Async<bool> remove_queue(Order& order) {
    std::uint64_t done = 0;
    if (order.done_of_first) {
      done = *order.done_of_first;
    } else {
      SEMPER_CO_TRY(const auto raw, co_await transaction_->get(keys_->header()));
      // One that cannot be read is no reason to leave anything behind.
      if (raw) {
        if (const auto header = Header::decode(*raw)) done = header->head_offset;
      }
    }
    const KeyRange dead = dead_queue(*keys_, order);
    const RangeOptions some{.limit = kRemovedRows};
    SEMPER_CO_TRY(const auto page, co_await transaction_->get_range(dead, some));
    const std::size_t most = most_calls(transaction_->limits());
    KeyRange removed{dead.begin, dead.begin};
    bool full = false;
    for (const auto& row : page.rows) {
      full = !tell_calls(row.value, done, most);
      if (full) break;
      done = 0;
      removed.end = key_after(row.key);
    }
    order.done_of_first = done;
    if (!removed.empty()) transaction_->clear_range(removed);
    SEMPER_CO_TRY_STATUS(co_await write_replies(*transaction_, target_->tenant.prefix(), replies_));
    co_return !full && !page.more;
  }

  // The segment's calls from number `done` on, which it moves. False: there are more than `most`.
  bool tell_calls(BytesView segment, std::uint64_t& done, std::size_t most) {
    auto messages = decode_segment(segment);
    if (!messages) return true;  // it goes, readable or not
    for (; done < messages->size(); ++done) {
      auto& message = (*messages)[static_cast<std::size_t>(done)];
      if (message.event != Event::call) continue;
      if (replies_.size() == most) return false;
      replies_.push_back(
          {message.caller,
           encode_reply_error(Error(ErrorKind::closed, target_->id.to_string() + " was killed"))});
    }
    return true;
  }

  Async<bool> remove_letters() {
    const KeyRange letters = keys_->dead_letters();
    const RangeOptions some{.limit = kRemovedRows};
    SEMPER_CO_TRY(const auto page, co_await transaction_->get_range(letters, some));
    if (!page.rows.empty()) {
      transaction_->clear_range({letters.begin, key_after(page.rows.back().key)});
    }
    co_return !page.more;
  }

  // Those that were set before the order. The others are few: kTimersPerEntity.
  Async<bool> remove_timers(const Order& order) {
    if (SEMPER_MUTANT("server_timer_survives_a_kill")) co_return true;
    KeyRange rest = keys_->timers();
    std::size_t removed = 0;
    for (bool more = true; more;) {
      const RangeOptions all{.mode = ReadMode::snapshot};  // nobody else writes what is dead
      SEMPER_CO_TRY(const auto page, co_await transaction_->get_range(rest, all));
      for (const auto& row : page.rows) {
        const auto timer = TimerRecord::decode(row.value);
        if (timer && timer->stamp > order.stamp) continue;
        if (removed == kRemovedRows || is_half_full()) co_return false;
        ++removed;
        transaction_->clear(row.key);
        const auto name = name_of_timer_key(target_->tenant.prefix(), row.key);
        if (timer && name) clear_timer(*transaction_, *keys_, *name, *timer);
      }
      more = page.more && !page.rows.empty();
      if (more) rest.begin = key_after(page.rows.back().key);
    }
    co_return true;
  }

  // As the timers: those that were accepted before the order, with the calls that wait for them.
  Async<bool> remove_keys(const Order& order) {
    if (SEMPER_MUTANT("server_key_survives_a_kill")) co_return true;
    replies_.clear();
    KeyRange rest = keys_->idempotency_keys();
    std::size_t removed = 0;
    bool is_done = true;
    for (bool more = true; more && is_done;) {
      const RangeOptions all{.mode = ReadMode::snapshot};
      SEMPER_CO_TRY(const auto page, co_await transaction_->get_range(rest, all));
      for (const auto& row : page.rows) {
        const auto name = name_of_key(target_->tenant.prefix(), row.key);
        if (name && name->is_chunk) continue;  // it goes with its key
        const auto record = KeyRecord::decode(row.value);
        if (record && record->stamp > order.stamp) continue;
        is_done = removed < kRemovedRows && !is_half_full() &&
                  replies_.size() + kAttachedCallsMaximum < most_calls(transaction_->limits());
        if (!is_done && removed > 0) break;
        is_done = true;
        ++removed;
        remove_key(row.key, name, record);
      }
      more = page.more && !page.rows.empty();
      if (more) rest.begin = key_after(page.rows.back().key);
    }
    SEMPER_CO_TRY_STATUS(co_await write_replies(*transaction_, target_->tenant.prefix(), replies_));
    co_return is_done;
  }

  void remove_key(const Bytes& row, const Result<KeyName>& name, const Result<KeyRecord>& record) {
    // Who sends with this key meanwhile writes its row anew: that one stays.
    if (!SEMPER_MUTANT("server_kill_takes_a_key_that_is_used_anew")) {
      transaction_->assume_unchanged(KeyRange::point(row), 1);
    }
    transaction_->clear(row);
    if (!record || !name) return;
    clear_key(*transaction_, *keys_, name->message, name->text, *record);
    const Error killed(ErrorKind::closed, target_->id.to_string() + " was killed");
    if (SEMPER_MUTANT("server_kill_tells_no_attached_call")) return;
    for (const auto& caller : record->callers) {
      replies_.push_back({caller, encode_reply_error(killed)});
    }
  }

  bool is_half_full() const { return internal::is_half_full(*transaction_); }

  Async<void> finish() {
    for (const auto& range : keys_->consumers_own()) {
      if (SEMPER_MUTANT("server_kill_leaves_a_key") && range.begin == keys_->header()) continue;
      transaction_->clear_range(range);
    }
    SEMPER_CO_TRY(const auto pushed,
                  co_await transaction_->get(keys_->pushed(), ReadMode::snapshot));
    // Messages that came after the order keep their index entry. Where there are none, none may
    // come while the entry goes.
    if (counter_value(pushed) > 0) {
      transaction_->add(keys_->wake(), 1);
      co_return Status{};
    }
    SEMPER_CO_TRY_STATUS(co_await transaction_->get(keys_->pushed()));
    transaction_->clear(keys_->index());
    co_return Status{};
  }

  Transaction* transaction_;
  const Target* target_;
  const EntityKeys* keys_;
  std::vector<OutgoingReply> replies_;
};

}  // namespace

Bytes Order::encode() const {
  Bytes out(stamp.bytes());
  cbor::Writer writer(out);
  const auto& number = kind == Kind::kill ? done_of_first : kind == Kind::hold ? hold_ms : unlocks;
  writer.array(number ? 2 : 1);
  writer.unsigned_integer(static_cast<std::uint64_t>(kind));
  if (number) writer.unsigned_integer(*number);
  return out;
}

Result<Order> Order::decode(BytesView bytes) {
  Order order;
  if (bytes.size() < Versionstamp::size) {
    return fail(ErrorKind::corrupt,
                "an order to an entity: only " + std::to_string(bytes.size()) + " bytes");
  }
  SEMPER_TRY(order.stamp, Versionstamp::from_bytes(bytes.substr(0, Versionstamp::size)));
  cbor::Reader reader(bytes.substr(Versionstamp::size));
  std::uint64_t elements = 0;
  std::uint64_t kind = 0;
  bool ok = reader.read_array(elements) && reader.read_unsigned(kind);
  if (ok && kind > static_cast<std::uint64_t>(Kind::hold)) {
    return fail(ErrorKind::unsupported,
                "an order to an entity, of kind " + std::to_string(kind) +
                    ", was given by a newer version of Semper; update this program");
  }
  order.kind = static_cast<Kind>(kind);
  auto& number = order.kind == Kind::kill   ? order.done_of_first
                 : order.kind == Kind::hold ? order.hold_ms
                                            : order.unlocks;
  if (ok && elements == 2) ok = reader.read_unsigned(number.emplace());
  if (ok && elements != 1 && elements != 2) {
    ok = reader.fail("an order has 1 or 2 elements, not " + std::to_string(elements));
  }
  if (!ok || !reader.finish()) {
    return fail(Error(ErrorKind::corrupt, reader.error().message()).in("an order to an entity"));
  }
  return order;
}

KeyRange Standing::queue(const EntityKeys& keys) const {
  KeyRange alive = keys.queue();
  if (is_killed()) alive.begin = keys.queue_segment_at(order->stamp);
  return alive;
}

Async<Standing> read_standing(Transaction& transaction, const EntityKeys& keys, ReadMode mode) {
  Standing standing;
  const KeyRange both{keys.header(), keys.pushed()};
  const RangeOptions options{.limit = 2, .mode = mode};
  SEMPER_CO_TRY(const auto page, co_await transaction.get_range(both, options));
  const Bytes* header = nullptr;
  for (const auto& row : page.rows) {
    if (row.key == keys.header()) {
      header = &row.value;
    } else {
      SEMPER_CO_TRY(standing.order, Order::decode(row.value));
    }
  }
  if (standing.is_killed()) co_return standing;
  if (header != nullptr) {
    SEMPER_CO_TRY(standing.header, Header::decode(*header));
  }
  if (!standing.order) co_return standing;
  auto& lock = standing.header.lock;
  const bool is_reset = standing.order->kind == Order::Kind::reset;
  if (is_reset || (lock && standing.order->takes_lock_of(lock->nonce))) lock.reset();
  if (is_reset) {
    standing.header.has_state = false;
    standing.header.state.clear();
    standing.header.chunks = 0;
    standing.header.state_bytes = 0;
  }
  co_return standing;
}

std::uint64_t count_waiting(const std::optional<Bytes>& pushed, std::uint64_t popped) {
  const std::uint64_t all = counter_value(pushed);
  return all > popped ? all - popped : 0;
}

void handle_again(Transaction& transaction, const EntityKeys& keys) {
  transaction.set(keys.index(), {});
  transaction.add(keys.wake(), 1);
}

Async<bool> order_kill(Transaction& transaction, const Target& target) {
  const auto& keys = target.keys;
  SEMPER_CO_TRY(const auto standing, co_await read_order(transaction, keys));
  if (standing && standing->kind == Order::Kind::kill) co_return false;
  give(transaction, keys, Order::Kind::kill);
  // The counts begin anew with what is sent from now on, and so do the sources' numbers.
  transaction.clear(keys.pushed());
  transaction.clear(keys.timer_count());
  transaction.clear(keys.key_count());
  if (SEMPER_MUTANT("server_kill_remembers_sources")) co_return true;
  transaction.clear_range(keys.once_of_all_sources());
  co_return true;
}

Async<bool> order_reset(Transaction& transaction, const Target& target) {
  SEMPER_CO_TRY(const auto standing, co_await read_order(transaction, target.keys));
  const bool stands =
      standing && (standing->kind == Order::Kind::kill || standing->kind == Order::Kind::reset);
  if (stands) co_return false;
  const auto unlocks = standing ? standing->unlocks : std::nullopt;
  give(transaction, target.keys, Order::Kind::reset, unlocks);
  handle_again(transaction, target.keys);
  co_return true;
}

Async<bool> order_unlock(Transaction& transaction, const Target& target, std::uint64_t nonce) {
  const auto& keys = target.keys;
  SEMPER_CO_TRY(const auto standing, co_await read_order(transaction, keys));
  if (standing && standing->kind == Order::Kind::kill) co_return false;
  if (standing && standing->takes_lock_of(nonce)) co_return false;
  const bool is_reset = standing && standing->kind == Order::Kind::reset;
  give(transaction, keys, is_reset ? Order::Kind::reset : Order::Kind::unlock, nonce);
  handle_again(transaction, keys);
  co_return true;
}

HoldStamp hold_stamp(const Versionstamp& committed) {
  return Bytes(committed.bytes().substr(0, Versionstamp::store_size));
}

Async<bool> ask_to_hold(Transaction& transaction, const EntityKeys& keys, Duration at_most,
                        const HoldStamp& instead_of) {
  SEMPER_CO_TRY(const auto standing, co_await read_order(transaction, keys));
  if (standing && standing->kind != Order::Kind::hold) co_return true;
  if (standing && hold_stamp(standing->stamp) != instead_of) co_return false;
  Order order;
  order.kind = Order::Kind::hold;
  order.hold_ms = static_cast<std::uint64_t>(
      std::chrono::ceil<std::chrono::milliseconds>(std::min(at_most, kHoldMaximum)).count());
  transaction.set_versionstamped_value(keys.order(), order.encode(), 0);
  transaction.add_write_conflict_range(KeyRange::point(keys.header()));
  co_return true;
}

Async<void> end_hold(Transaction& transaction, const EntityKeys& keys, const HoldStamp& stamp) {
  SEMPER_CO_TRY(const auto standing, co_await read_order(transaction, keys));
  const bool is_it =
      standing && standing->kind == Order::Kind::hold && hold_stamp(standing->stamp) == stamp;
  if (is_it) transaction.clear(keys.order());
  co_return Status{};
}

bool SeenHold::stands(const std::optional<Hold>& hold, MonotonicTime now) {
  if (!hold || SEMPER_MUTANT("server_hold_not_heeded")) return false;
  if (stamp_ != hold->stamp) {
    stamp_ = hold->stamp;
    until_ = now + std::min(hold->at_most, kHoldMaximum);
  }
  return now < until_ || SEMPER_MUTANT("server_hold_heeded_for_ever");
}

Async<bool> remove_killed(const Target& target, std::size_t transactions) {
  for (std::size_t i = 0; i < transactions; ++i) {
    SEMPER_CO_TRY(const bool done,
                  co_await target.store().transact([&](Transaction& transaction) -> Async<bool> {
                    Removal removal(transaction, target);
                    co_return co_await removal.run();
                  }));
    if (done) co_return true;
  }
  co_return false;
}

Async<bool> clear_collections(Transaction& transaction, const EntityKeys& keys) {
  const KeyRange all = keys.collections();
  const RangeOptions some{.limit = kRemovedRows, .mode = ReadMode::snapshot};
  SEMPER_CO_TRY(const auto page, co_await transaction.get_range(all, some));
  if (page.rows.empty()) co_return true;
  transaction.clear_range({all.begin, key_after(page.rows.back().key)});
  co_return !page.more;
}

Async<bool> has_entries(Transaction& transaction, const EntityKeys& keys) {
  const RangeOptions one{.limit = 1, .mode = ReadMode::snapshot};
  SEMPER_CO_TRY(const auto page, co_await transaction.get_range(keys.collections(), one));
  co_return !page.rows.empty();
}

Async<bool> remove_entries_of_reset(const Target& target, std::size_t transactions) {
  // Nobody writes entries while the order stands.
  const auto remove_some = [&](Transaction& transaction) -> Async<bool> {
    SEMPER_CO_TRY(const auto order, co_await read_order(transaction, target.keys));
    if (!order || order->kind != Order::Kind::reset) co_return true;
    co_return co_await clear_collections(transaction, target.keys);
  };
  for (std::size_t i = 0; i < transactions; ++i) {
    SEMPER_CO_TRY(const bool done, co_await target.store().transact(remove_some));
    if (done) co_return true;
  }
  co_return false;
}

}  // namespace semper::internal
