#include "server/format/key_book.h"

#include <algorithm>
#include <utility>

#include "semper/base/internal/mutant.h"
#include "server/format/keys.h"
#include "server/format/orders.h"
#include "server/format/tuple_key.h"

namespace semper::internal {
namespace {

// Of replies to those who wait besides the first, all together.
constexpr std::size_t kTellShare = 8;

Error another_payload(const KeyAddress& address) {
  return Error(ErrorKind::invalid_argument,
               "the idempotency key \"" + to_printable(address.key, 64) + "\" of " +
                   address.message + " to " + address.entity.to_string() +
                   " was used with another content; a new request needs a key of its own");
}

Error too_many_keys(const KeyAddress& address) {
  return Error(ErrorKind::exhausted, Limit{"kIdempotencyKeysPerEntity", kIdempotencyKeysPerEntity},
               address.entity.to_string() + " has its " +
                   std::to_string(kIdempotencyKeysPerEntity) +
                   " idempotency keys; give them less retention, or spread the requests");
}

Error too_many_attached(const KeyAddress& address) {
  return Error(ErrorKind::retry, Limit{"kAttachedCallsMaximum", kAttachedCallsMaximum},
               std::to_string(kAttachedCallsMaximum) + " calls wait for the reply of key \"" +
                   to_printable(address.key, 64) + "\" already; ask again later");
}

Bytes ask_again() {
  return encode_reply_error(
      Error(ErrorKind::retry,
            "the message was processed; its reply is too large to be sent to all "
            "who wait for it: send the call again, with its key"));
}

}  // namespace

void tell(const KeyBook::Told& told, const Limits& limits, std::vector<OutgoingReply>& replies) {
  const std::size_t room = limits.transaction_bytes / kTellShare;
  std::size_t bytes = 0;
  for (const auto& caller : told.callers) {
    bytes += told.reply.size();
    const bool fits = replies.empty() || bytes <= room;
    replies.push_back({caller, fits ? told.reply : ask_again()});
  }
}

KeyBook::Name KeyBook::name_of(const KeyAddress& address) {
  return {{address.entity.type, address.entity.id}, {address.message, address.key}};
}

KeyBook::Entry& KeyBook::entry(const KeyAddress& address) {
  return entries_.at(name_of(address));
}

bool KeyBook::knows(const KeyAddress& address) const {
  return entries_.contains(name_of(address));
}

const KeyRecord* KeyBook::find(const KeyAddress& address, std::int64_t now_ms) const {
  const auto& now = entries_.at(name_of(address)).now;
  return !now || (now->is_done() && now->expires_ms <= now_ms) ? nullptr : &*now;
}

Async<void> KeyBook::look(Place place, const KeyAddress& address, Loaded loaded) {
  if (knows(address)) co_return Status{};
  Entry found;
  found.address = address;
  const EntityKeys keys(place.tenant_prefix, found.address.entity);
  const Bytes row = keys.key(address.message, address.key);
  SEMPER_CO_TRY(const auto raw, co_await place.reader.get(row, ReadMode::snapshot));
  place.transaction.assume_unchanged(KeyRange::point(row), raw ? 1 : 0);
  if (raw) {
    auto record = KeyRecord::decode(*raw);
    if (!record) {
      const std::string what = "key " + to_printable(address.key, 64);
      co_return fail(record.error().in(what).in(address.entity.to_string()));
    }
    found.stored = std::move(*record);
    if (found.stored->chunks > 0) {
      SEMPER_CO_TRY_STATUS(co_await read_chunks(place.reader, row, *found.stored));
    }
  }
  if (loaded == Loaded::no) {
    const Bytes order_row = keys.order();
    SEMPER_CO_TRY(const auto order, co_await place.reader.get(order_row, ReadMode::snapshot));
    place.transaction.assume_unchanged(KeyRange::point(order_row), order ? 1 : 0);
    if (order && found.stored) {
      SEMPER_CO_TRY(const auto standing, Order::decode(*order));
      found.is_dead = standing.kind == Order::Kind::kill && found.stored->stamp < standing.stamp;
    }
  }
  if (!found.is_dead) found.now = found.stored;
  if (!found.now) {
    SEMPER_CO_TRY(const auto count,
                  co_await place.reader.get(keys.key_count(), ReadMode::snapshot));
    found.count = counter_value(count);
  }
  entries_.emplace(name_of(address), std::move(found));
  co_return Status{};
}

Async<void> KeyBook::read_chunks(Transaction& reader, const Bytes& row, KeyRecord& record) {
  record.reply.clear();
  const RangeOptions options{.mode = ReadMode::snapshot};  // they change with the row
  for (KeyRange rest = below(row);;) {
    SEMPER_CO_TRY(const auto page, co_await reader.get_range(rest, options));
    for (const auto& chunk : page.rows) record.reply += chunk.value;
    if (!page.more || page.rows.empty()) co_return Status{};
    rest.begin = key_after(page.rows.back().key);
  }
}

KeyRecord& KeyBook::change(Entry& entry) {
  if (!std::exchange(entry.has_changed, true)) {
    ++changed_;
    bytes_ += 2 * (entry.address.entity.id.size() + entry.address.message.size() +
                   entry.address.key.size()) +
              256;
  }
  return *entry.now;
}

KeyRecord& KeyBook::make(Entry& entry, const MessageKey& key, const ReplyToken& caller) {
  entry.now.emplace();
  entry.now->stamp = Versionstamp::incomplete(0);
  entry.now->fingerprint = key.fingerprint;
  entry.now->retention_ms = key.retention_ms;
  entry.now->run = run_of(caller);
  ++made_[{entry.address.entity.type, entry.address.entity.id}];
  return change(entry);
}

KeyBook::Meeting KeyBook::meet(const KeyAddress& address, const Sent& sent, By by,
                               std::int64_t now_ms) {
  using What = Meeting::What;
  Entry& known = entry(address);
  const bool is_over = find(address, now_ms) == nullptr;
  if (is_over && !known.now) {
    const auto made = made_.find({address.entity.type, address.entity.id});
    const std::uint64_t more = made == made_.end() ? 0 : made->second;
    if (known.count + more >= kIdempotencyKeysPerEntity) {
      return {What::refused, {}, too_many_keys(address)};
    }
  }
  if (is_over || SEMPER_MUTANT("server_key_is_forgotten_at_once")) {
    make(known, sent.key, sent.caller);
    return {};
  }
  if (known.now->fingerprint != sent.key.fingerprint) {
    return {What::refused, {}, another_payload(address)};
  }
  if (known.now->is_done()) return {What::answered, known.now->reply};
  if (known.now->state == KeyRecord::State::queued && by == By::runner) {
    if (known.now->run != run_of(sent.caller)) change(known).run = run_of(sent.caller);
    return {};
  }
  if (sent.event == Event::call && !sent.caller.is_empty()) {
    if (known.now->callers.size() >= kAttachedCallsMaximum) {
      return {What::refused, {}, too_many_attached(address)};
    }
    auto& callers = change(known).callers;
    if (!SEMPER_MUTANT("server_attached_call_forgotten")) callers.push_back(sent.caller);
    bytes_ += 16;
  }
  return {What::attached};
}

Async<void> KeyBook::make_room(Place place, const KeyAddress& address) {
  Entry& known = entry(address);
  if (!known.now || known.now->is_done()) co_return Status{};
  if (known.now->callers.size() < kAttachedCallsMaximum) co_return Status{};
  std::map<Bytes, bool> sessions;  // whether they are there
  for (const auto& caller : known.now->callers) sessions.emplace(caller.session, true);
  for (auto& [session, is_there] : sessions) {
    if (session.empty()) continue;
    const Bytes row = session_key(place.tenant_prefix, session);
    SEMPER_CO_TRY(const auto found, co_await place.reader.get(row, ReadMode::snapshot));
    is_there = found.has_value();
  }
  const std::vector<ReplyToken> callers = known.now->callers;
  for (const auto& caller : callers) {
    if (!sessions.at(caller.session)) detach(address, caller);
  }
  co_return Status{};
}

void KeyBook::detach(const KeyAddress& address, const ReplyToken& caller) {
  Entry& known = entry(address);
  if (!known.now || known.now->is_done()) return;
  auto& callers = known.now->callers;
  // The first of one that is to be answered later is its own.
  const auto from =
      callers.begin() + (known.now->state == KeyRecord::State::waiting && !callers.empty() ? 1 : 0);
  const auto found = std::find(from, callers.end(), caller);
  if (found == callers.end() || SEMPER_MUTANT("server_attached_call_stays")) return;
  const auto at = found - callers.begin();
  auto& changed = change(known).callers;
  changed.erase(changed.begin() + at);
}

KeyBook::Told KeyBook::complete(const KeyAddress& address, Bytes reply, KeyRecord::State state,
                                std::int64_t now_ms) {
  Entry& known = entry(address);
  if (!known.now) return {std::move(reply), {}};
  KeyRecord& record = change(known);
  if (record.reply.empty()) record.reply = std::move(reply);
  record.state = state;
  record.expires_ms = now_ms + record.retention_ms;
  bytes_ += record.reply.size();
  Told told{record.reply, std::exchange(record.callers, {})};
  if (SEMPER_MUTANT("server_attached_calls_not_told")) told.callers.clear();
  return told;
}

std::optional<KeyBook::Told> KeyBook::wait(const KeyAddress& address, const ReplyToken& caller,
                                           std::int64_t now_ms) {
  Entry& known = entry(address);
  if (!known.now) return std::nullopt;
  KeyRecord& record = change(known);
  if (!record.reply.empty()) return complete(address, {}, KeyRecord::State::done, now_ms);
  record.state = KeyRecord::State::waiting;
  record.callers.insert(record.callers.begin(), caller);
  return std::nullopt;
}

std::vector<ReplyToken> KeyBook::forget(const KeyAddress& address) {
  Entry& known = entry(address);
  if (!known.now) return {};
  std::vector<ReplyToken> callers = std::move(change(known).callers);
  known.now.reset();
  return callers;
}

Async<void> KeyBook::answer(Place place, const std::vector<CallbackSends::KeyedAnswer>& answers,
                            std::int64_t now_ms, std::vector<OutgoingReply>& replies) {
  for (const auto& [to, encoded] : answers) {
    const auto address = address_in(to);
    if (!address) continue;  // nobody waits for it, as with any other token that is none
    SEMPER_CO_TRY_STATUS(co_await look(place, *address, Loaded::no));
    Entry& known = entry(*address);
    const bool is_its_own = known.now && !known.now->is_done() && known.now->run == to.number;
    if (!is_its_own || !known.now->reply.empty()) continue;
    if (known.now->state == KeyRecord::State::queued) {
      change(known).reply = encoded;
      bytes_ += encoded.size();
    } else {
      tell(complete(*address, encoded, KeyRecord::State::done, now_ms), place.transaction.limits(),
           replies);
    }
  }
  co_return Status{};
}

bool KeyBook::stands_for(const KeyAddress& address, const MessageKey& key,
                         const ReplyToken& caller) const {
  const auto& now = entries_.at(name_of(address)).now;
  return now && now->state == KeyRecord::State::queued && now->run == run_of(caller) &&
         now->fingerprint == key.fingerprint;
}

void KeyBook::redrive(const KeyAddress& address, const MessageKey& key, const ReplyToken& caller) {
  Entry& known = entry(address);
  if (!known.now) {
    make(known, key, caller);
    return;
  }
  if (known.now->state != KeyRecord::State::failed) return;
  KeyRecord& record = change(known);
  record.state = KeyRecord::State::queued;
  record.reply.clear();
  record.expires_ms = 0;
  record.run = run_of(caller);
}

void KeyBook::settle(Transaction& transaction, BytesView tenant_prefix) {
  std::map<Bytes, std::int64_t> counts;
  std::map<Bytes, bool> marks;
  for (auto& [name, entry] : entries_) {
    if (!entry.has_changed) continue;
    const EntityKeys keys(tenant_prefix, entry.address.entity);
    if (entry.stored) {
      clear_key(transaction, keys, entry.address.message, entry.address.key, *entry.stored);
    }
    const bool was_counted = entry.stored && !entry.is_dead;
    counts[keys.key_count()] += (entry.now ? 1 : 0) - (was_counted ? 1 : 0);
    if (!entry.now) continue;
    if (entry.now->is_done()) marks[keys.timers_mark()] = true;
    write(transaction, keys, entry);
  }
  for (const auto& [key, more] : counts) {
    if (more != 0) transaction.add(key, more);
  }
  for (const auto& [key, is_set] : marks) transaction.set(key, {});
}

void KeyBook::write(Transaction& transaction, const EntityKeys& keys, Entry& entry) {
  KeyRecord& record = *entry.now;
  const auto& [entity, message, text] = entry.address;
  const Bytes row = keys.key(message, text);
  record.chunks = 0;
  if (record.reply.size() > kKeptReplyBytes) {
    for (std::size_t at = 0; at < record.reply.size(); at += kKeptReplyChunkBytes) {
      const BytesView chunk = BytesView(record.reply).substr(at, kKeptReplyChunkBytes);
      transaction.set(tuple_key(row, record.chunks++), chunk);
    }
  }
  if (record.stamp.is_complete()) {
    transaction.set(row, record.encode());
  } else {
    transaction.set_versionstamped_value(row, record.encode(), 0);
  }
  if (record.is_done() && !SEMPER_MUTANT("server_key_is_never_forgotten")) {
    transaction.set(keys.key_expiry(record.expires_ms, message, text), {});
  }
}

}  // namespace semper::internal
