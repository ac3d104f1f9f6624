#include "server/serve/entity.h"

#include <utility>

#include "semper/base/assert.h"
#include "semper/base/internal/mutant.h"
#include "server/format/state_cut.h"

namespace semper::internal {
namespace {

// More than this program is, whatever that may be.
Needs newer_program() {
  Needs needs;
  needs.newer_program = true;
  return needs;
}

}  // namespace

bool Entity::is_known_at(const RecentChanges& changes, Version newest) const {
  if (!known_ || as_of_ > newest) return false;
  if (as_of_ == newest || SEMPER_MUTANT("server_local_group_believes_what_it_knows")) return true;
  const auto& keys = target_->keys;
  return changes.is_known_unchanged(keys.header(), as_of_) &&
         changes.is_known_unchanged(keys.pushed(), as_of_);
}

void Entity::assume(Transaction& transaction) const {
  transaction.assume_unchanged(KeyRange::point(target_->keys.header()), header_exists_ ? 1 : 0);
  if (SEMPER_MUTANT("server_local_call_overtakes_the_queue")) return;
  claim_queue(transaction);
}

void Entity::claim_queue(Transaction& transaction) const {
  transaction.assume_unchanged(KeyRange::point(target_->keys.pushed()), pushed_exists_ ? 1 : 0);
}

void Entity::claim_first_segment(Transaction& transaction) const {
  if (header_exists_ || segments_.empty()) return;
  transaction.assume_unchanged(KeyRange::point(segments_.front().key), 1);
}

Async<void> Entity::load(Transaction& transaction, Behaviour& behaviour, std::size_t segments) {
  known_ = false;
  saved_ = false;
  // None, until it is known to belong to the header that is read: a load that fails half-way must
  // not leave the state of one header beside another.
  std::shared_ptr<void> at_hand = std::exchange(state_, nullptr);
  if (std::exchange(dirty_, false)) at_hand.reset();
  const auto& keys = target_->keys;
  // Header, pushed count and queue lie next to each other: one read. It is a snapshot read, so that
  // publishers, who append behind it, do not conflict; the header alone decides who consumes.
  const KeyRange adjacent{keys.header(), keys.queue().end};
  SEMPER_CO_TRY(auto page, co_await transaction.get_range(
                               adjacent, {.limit = segments + 3, .mode = ReadMode::snapshot}));
  const Bytes previous = std::exchange(header_raw_, Bytes());
  const std::optional<Bytes> order = take_rows(std::move(page), segments);
  is_reset_ = false;
  unlocks_.reset();
  hold_.reset();
  if (order) SEMPER_CO_TRY_STATUS(co_await obey(transaction, *order));
  const bool unchanged =
      previous == header_raw_ || SEMPER_MUTANT("server_cached_state_believed_unread");
  const bool same = header_exists_ && unchanged && !is_reset_;
  SEMPER_CO_TRY(as_of_, co_await transaction.read_version());
  if (!SEMPER_MUTANT("server_header_read_without_a_conflict")) {
    transaction.assume_unchanged(KeyRange::point(keys.header()), header_exists_ ? 1 : 0);
  }
  if (same && unreadable_) co_return fail(*unreadable_);
  unreadable_.reset();
  needs_.reset();
  header_ = Header();
  if (header_exists_) {
    auto header = Header::decode(header_raw_);
    if (!header) {
      unreadable_ = header.error().in(target_->id.to_string());
      if (unreadable_->kind() == ErrorKind::unsupported) needs_ = newer_program();
      co_return fail(*unreadable_);
    }
    header_ = std::move(*header);
    const bool is_taken = is_reset_ || (header_.lock && header_.lock->nonce == unlocks_);
    if (is_taken && !SEMPER_MUTANT("server_lock_undoes_a_reset")) header_.lock.reset();
  }
  if (!segments_status_) co_return fail(segments_status_.error().in(target_->id.to_string()));
  if (pushed_ < header_.popped) {
    co_return fail(ErrorKind::corrupt, target_->id.to_string() +
                                           ": the queue's counters contradict "
                                           "each other (" +
                                           std::to_string(pushed_) + " pushed, " +
                                           std::to_string(header_.popped) + " taken)");
  }
  SEMPER_CO_TRY_STATUS(refuse_newer(behaviour));
  if (same && at_hand) {
    state_ = std::move(at_hand);
  } else {
    SEMPER_CO_TRY_STATUS(co_await load_state(transaction, behaviour));
  }
  known_ = true;
  check();
  co_return Status{};
}

void Entity::check() const {
  SEMPER_ASSERT(header_exists_ == !header_raw_.empty(), "a header is there, or it is not");
  SEMPER_ASSERT(!known_ || !unreadable_, "what cannot be read is not known");
  SEMPER_ASSERT(!is_outdated_ || !state_is_new_, "what init makes is of no older version");
  SEMPER_ASSERT(header_.chunks == 0 || header_.state.empty(), "a state is in chunks, or it is not");
  SEMPER_ASSERT(header_.chunks > 0 || header_.state_bytes == 0, "what is in no chunk has no bytes");
  SEMPER_ASSERT(!saved_ || !saved_header_.empty(), "what was saved has a header");
}

Status Entity::refuse_newer(const Behaviour& behaviour) {
  const bool has_state = header_.has_state && !is_reset_;
  if (!has_state || header_.state_version <= behaviour.state_version() ||
      SEMPER_MUTANT("server_newer_state_decoded")) {
    return {};
  }
  unreadable_ = newer_state_error(target_->id, header_.state_version, behaviour.state_version());
  needs_.emplace().state_version = header_.state_version;
  return fail(*unreadable_);
}

Async<void> Entity::obey(Transaction& transaction, BytesView bytes) {
  const auto order = Order::decode(bytes);
  if (!order) co_return fail(order.error().in(target_->id.to_string()));
  is_reset_ = order->kind == Order::Kind::reset;
  unlocks_ = order->unlocks;
  if (order->kind == Order::Kind::hold) {
    hold_ = Hold{hold_stamp(order->stamp), std::chrono::milliseconds(order->hold_ms.value_or(0))};
  }
  if (is_reset_ && !SEMPER_MUTANT("server_reset_keeps_entries")) {
    SEMPER_CO_TRY(const bool has_some, co_await has_entries(transaction, target_->keys));
    if (has_some) {
      SEMPER_CO_TRY_STATUS(co_await remove_entries_of_reset(*target_, kRemovalsPerLoad));
      co_return fail(ErrorKind::conflict, target_->id.to_string() + " was reset; look again");
    }
  }
  if (order->kind != Order::Kind::kill) co_return Status{};
  header_exists_ = false;
  header_raw_.clear();
  SEMPER_CO_TRY_STATUS(co_await remove_killed(*target_, kRemovalsPerLoad));
  co_return fail(ErrorKind::conflict, target_->id.to_string() + " was killed; look again");
}

std::optional<Bytes> Entity::take_rows(RangePage page, std::size_t segments) {
  std::optional<Bytes> order;
  const auto& keys = target_->keys;
  header_exists_ = false;
  pushed_exists_ = false;
  pushed_ = 0;
  segments_.clear();
  segments_status_ = {};
  all_segments_ = !page.more;
  for (auto& row : page.rows) {
    if (row.key == keys.header()) {
      header_exists_ = true;
      header_raw_ = std::move(row.value);
    } else if (row.key == keys.pushed()) {
      pushed_exists_ = true;
      pushed_ = counter_value(row.value);
    } else if (row.key < keys.pushed()) {
      order = std::move(row.value);
    } else if (segments_.size() < segments) {
      auto messages = decode_segment(row.value);
      if (!messages) {
        segments_status_ = fail(messages.error());
        return order;
      }
      segments_.push_back({std::move(row.key), std::move(*messages)});
    } else {
      all_segments_ = false;
    }
  }
  return order;
}

Async<void> Entity::load_state(Transaction& transaction, Behaviour& behaviour) {
  state_is_new_ = !header_.has_state || is_reset_;
  is_outdated_ = !state_is_new_ && header_.state_version < behaviour.state_version();
  chunks_.clear();
  if (state_is_new_) {
    encoded_.clear();
    co_return Status{};  // init is the first message's to fail: see state()
  }
  if (header_.chunks == 0) {
    encoded_ = header_.state;
  } else {
    SEMPER_CO_TRY_STATUS(co_await load_chunks(transaction));
  }
  if (is_outdated_) co_return Status{};  // so is upgrade
  co_return decode(behaviour);
}

// Those that the header speaks of, each as write_chunks() has made it.
Async<void> Entity::load_chunks(Transaction& transaction) {
  encoded_.clear();
  KeyRange rest = target_->keys.chunks();
  std::uint32_t read = 0;
  for (bool more = true; more;) {
    // The header changes with every chunk, so reading them needs no conflict of its own.
    SEMPER_CO_TRY(auto page, co_await transaction.get_range(rest, {.mode = ReadMode::snapshot}));
    for (const auto& row : page.rows) {
      if (!take_chunk(row, read)) co_return fail(spoilt_chunks(read));
      ++read;
    }
    more = page.more;
    if (more) rest.begin = key_after(page.rows.back().key);
  }
  const bool is_whole = header_.state_bytes == 0 || encoded_.size() == header_.state_bytes ||
                        SEMPER_MUTANT("server_chunks_half_there_believed");
  if (read < header_.chunks || !is_whole) co_return fail(spoilt_chunks(read));
  co_return Status{};
}

bool Entity::take_chunk(const KeyValue& row, std::uint32_t number) {
  const std::size_t bytes = row.value.size();
  if (number >= header_.chunks || bytes == 0 || bytes > kChunkBytes) return false;
  if (header_.state_bytes > 0) {
    const auto place = target_->keys.place_of_chunk(row.key);
    if (!place || *place >= kPlacesEnd) return false;
    if (encoded_.size() + bytes > header_.state_bytes) return false;
    chunks_.push_back({*place, static_cast<std::uint32_t>(bytes)});
  } else {
    // As 0.1.0 has cut it, every so many bytes.
    const bool is_last = number + 1 == header_.chunks;
    if (row.key != target_->keys.chunk(number) || (!is_last && bytes < kChunkBytes)) return false;
  }
  encoded_ += row.value;
  return true;
}

Error Entity::spoilt_chunks(std::uint32_t number) {
  unreadable_ =
      Error(ErrorKind::corrupt, "the state is stored in " + std::to_string(header_.chunks) +
                                    " chunks, but that of number " + std::to_string(number) +
                                    " is missing, surplus or of another size")
          .in(target_->id.to_string());
  return *unreadable_;
}

Status Entity::decode(Behaviour& behaviour) {
  auto decoded = behaviour.decode_state(encoded_);
  if (!decoded && decoded.error().kind() == ErrorKind::exhausted) {
    return fail(decoded.error().in(target_->id.to_string()));  // not the bytes' fault
  }
  if (!decoded) {
    const bool is_newer = decoded.error().kind() == ErrorKind::unsupported;
    unreadable_ = Error(is_newer ? ErrorKind::unsupported : ErrorKind::corrupt,
                        "the state does not decode: " + decoded.error().message())
                      .in(target_->id.to_string());
    if (is_newer) needs_ = newer_program();
    return fail(*unreadable_);
  }
  state_ = std::move(*decoded);
  return {};
}

Result<void*> Entity::state(Behaviour& behaviour) {
  if (!state_) {
    dirty_ = false;
    if (state_is_new_) {
      SEMPER_TRY(state_, behaviour.init(target_->id));
    } else if (is_outdated_) {
      SEMPER_TRY(state_, behaviour.upgrade_state(target_->id, header_.state_version, encoded_));
    } else {
      SEMPER_TRY_STATUS(decode(behaviour));
    }
  }
  return state_.get();
}

Result<bool> Entity::save(Transaction& transaction, Behaviour& behaviour) {
  saved_ = false;
  saved_encoding_.reset();
  std::optional<Bytes> encoded;
  if (dirty_ && state_) {
    encoded.emplace().reserve(encoded_.size() + 16);
    SEMPER_TRY_STATUS(behaviour.encode_state(state_.get(), *encoded));
    const bool is_upgraded = is_outdated_ && !SEMPER_MUTANT("server_upgrade_not_recorded");
    if (!state_is_new_ && !is_upgraded && *encoded == encoded_) encoded.reset();
  }
  if (encoded) {
    header_.state_version = behaviour.state_version();
    store_state(transaction, *encoded);
  }
  Bytes record = header_.encode();
  const bool same_header = header_exists_ && record.size() == header_raw_.size() &&
                           record.compare(Versionstamp::size, Bytes::npos, header_raw_,
                                          Versionstamp::size, Bytes::npos) == 0;
  if (!encoded && same_header) {
    dirty_ = false;
    return false;
  }
  if (is_reset_ ? encoded.has_value() : unlocks_.has_value()) {
    transaction.clear(target_->keys.order());
  }
  if (is_ordered() && !header_.lock) transaction.clear(target_->keys.lock_renewal());
  if (encoded && is_reset_) transaction.clear(target_->keys.parked());
  transaction.set_versionstamped_value(target_->keys.header(), record, 0);
  saved_encoding_ = std::move(encoded);
  saved_header_ = std::move(record);
  saved_ = true;
  check();
  return true;
}

void Entity::store_state(Transaction& transaction, BytesView encoded) {
  header_.has_state = true;
  header_.state.clear();
  saved_chunks_.clear();
  if (encoded.size() > kInlineStateBytes) return write_chunks(transaction, encoded);
  if (header_.chunks > 0) transaction.clear_range(target_->keys.chunks());
  header_.state = encoded;
  header_.chunks = 0;
  header_.state_bytes = 0;
}

void Entity::write_chunks(Transaction& transaction, BytesView encoded) {
  const auto& keys = target_->keys;
  // Those of 0.1.0 have no places, those of a state that was reset are not known.
  const bool are_unknown = header_.chunks > 0 && chunks_.empty();
  if (are_unknown && !SEMPER_MUTANT("server_chunks_of_0_1_0_stay")) {
    transaction.clear_range(keys.chunks());
  }
  const auto aim = chunk_aim(encoded.size(), transaction.limits().transaction_operations);
  const BytesView before = chunks_.empty() ? BytesView() : BytesView(encoded_);
  auto rewrite = rewrite_chunks(before, chunks_, encoded, aim);
  for (const auto place : rewrite.cleared) transaction.clear(keys.chunk(place));
  for (const auto& [place, contents] : rewrite.set) transaction.set(keys.chunk(place), contents);
  header_.chunks = static_cast<std::uint32_t>(rewrite.chunks.size());
  header_.state_bytes = encoded.size();
  saved_chunks_ = std::move(rewrite.chunks);
}

Async<bool> Entity::is_current(Transaction& transaction) {
  const auto& keys = target_->keys;
  const KeyRange both{keys.header(), key_after(keys.pushed())};
  SEMPER_CO_TRY(auto page,
                co_await transaction.get_range(both, {.limit = 3, .mode = ReadMode::snapshot}));
  const Bytes* header = nullptr;
  std::optional<Bytes> pushed;
  bool ordered = false;
  for (const auto& row : page.rows) {
    if (row.key == keys.header()) {
      header = &row.value;
    } else if (row.key == keys.pushed()) {
      pushed = row.value;
    } else {
      ordered = true;
    }
  }
  const bool same_header = header_exists_ ? header != nullptr && *header == header_raw_ : !header;
  const bool current = same_header && !ordered && counter_value(pushed) == pushed_;
  if (current) {
    SEMPER_CO_TRY(as_of_, co_await transaction.read_version());
  }
  co_return current;
}

void Entity::committed(const Versionstamp& stamp, bool queue_claimed) {
  if (std::exchange(saved_, false)) {
    saved_header_.replace(0, Versionstamp::store_size,
                          stamp.bytes().substr(0, Versionstamp::store_size));
    header_raw_ = std::move(saved_header_);
    header_exists_ = true;
    header_.stamp = stamp;
    if (!is_reset_ || saved_encoding_) unlocks_.reset();
    if (saved_encoding_) {
      encoded_ = std::move(*saved_encoding_);
      chunks_ = std::move(saved_chunks_);
      is_outdated_ = false;
      state_is_new_ = false;
      is_reset_ = false;
    }
  }
  dirty_ = false;
  segments_.clear();
  as_of_ = stamp.version();
  known_ = queue_claimed;
  check();
}

void Entity::spoil() {
  known_ = false;
  header_raw_.clear();
  header_exists_ = false;
  state_.reset();
  dirty_ = true;
  segments_.clear();
}

}  // namespace semper::internal
