#include "server/format/limit_rows.h"

#include <algorithm>

#include "semper/base/cbor.h"
#include "semper/base/internal/mutant.h"
#include "semper/server/rate_limit.h"
#include "semper/store/tuple_stream.h"
#include "server/format/orders.h"
#include "server/format/tuple_key.h"

namespace semper::internal {
namespace {

constexpr std::int64_t kLimits = 18;
constexpr std::int64_t kPlaces = 1;
// Of the whole type, in place of a key; counters have the numbers of shards, from 0.
constexpr std::int64_t kWholeType = -1;
constexpr std::int64_t kWholeTypeFreed = -2;

constexpr std::uint64_t kBucketElements = 2;
constexpr std::uint64_t kLimitNoteElements = 4;

bool skip_rest(cbor::Reader& reader, std::uint64_t elements, std::uint64_t known) {
  bool ok = true;
  for (std::uint64_t i = known; ok && i < elements; ++i) ok = reader.skip();
  return ok && reader.finish();
}

}  // namespace

Bytes RateBucket::encode() const {
  Bytes out;
  cbor::Writer writer(out);
  writer.array(kBucketElements);
  writer.unsigned_integer(parts);
  writer.unsigned_integer(number);
  return out;
}

Result<RateBucket> RateBucket::decode(BytesView bytes) {
  cbor::Reader reader(bytes);
  RateBucket bucket;
  std::uint64_t elements = 0;
  const bool ok = reader.read_array(elements) && elements >= kBucketElements &&
                  reader.read_unsigned(bucket.parts) && reader.read_unsigned(bucket.number) &&
                  skip_rest(reader, elements, kBucketElements);
  if (!ok) return fail(ErrorKind::corrupt, "the bucket of a rate limit is damaged");
  return bucket;
}

LimitKeys::LimitKeys(BytesView tenant_prefix, std::string_view type, std::string_view key)
    : prefix_(tuple_key(tenant_prefix, kLimits, type, key)),
      freed_(tuple_key(tenant_prefix, kLimits, type, shard_of(key))) {}

LimitKeys LimitKeys::of_type(BytesView tenant_prefix, std::string_view type) {
  return LimitKeys(tuple_key(tenant_prefix, kLimits, type, kWholeType),
                   tuple_key(tenant_prefix, kLimits, type, kWholeTypeFreed));
}

Bytes LimitKeys::place(std::string_view id) const {
  return tuple_key(prefix_, kPlaces, id);
}
KeyRange LimitKeys::places() const {
  return below(tuple_key(prefix_, kPlaces));
}

std::string limit_key_in_store(std::string key) {
  constexpr auto kMost = static_cast<std::size_t>(kLimitKeyBytes);
  if (key.size() <= kMost && is_utf8(key)) return key;
  return to_printable(key, kMost);
}

Result<std::string> id_of_place(BytesView tenant_prefix, BytesView key) {
  const auto misplaced = [&] {
    return fail(ErrorKind::corrupt,
                "key " + to_printable(key) + " is not where places of a limit lie");
  };
  if (!key.starts_with(tenant_prefix)) return misplaced();
  TupleReader reader(key.substr(tenant_prefix.size()));
  Bytes scratch;
  SEMPER_TRY(const auto space, reader.read_int64());
  SEMPER_TRY_STATUS(reader.read_text(scratch));
  SEMPER_TRY_STATUS(reader.skip());  // the key, or that it is the type's
  SEMPER_TRY(const auto part, reader.read_int64());
  if (space != kLimits || part != kPlaces) return misplaced();
  SEMPER_TRY(const auto id, reader.read_text(scratch));
  SEMPER_TRY_STATUS(reader.expect_end());
  return std::string(id);
}

Async<std::vector<std::string>> read_places(Transaction& transaction, BytesView tenant_prefix,
                                            const LimitKeys& keys, std::size_t most,
                                            ReadMode mode) {
  std::vector<std::string> ids;
  KeyRange rest = keys.places();
  while (ids.size() < most) {
    const RangeOptions options{.limit = most - ids.size(), .mode = mode};
    SEMPER_CO_TRY(const auto page, co_await transaction.get_range(rest, options));
    for (const auto& row : page.rows) {
      auto id = id_of_place(tenant_prefix, row.key);
      if (id) ids.push_back(std::move(*id));
    }
    if (!page.more || page.rows.empty()) break;
    rest.begin = key_after(page.rows.back().key);
  }
  co_return std::move(ids);
}

Async<bool> holds_place(Transaction& transaction, BytesView tenant_prefix, const EntityId& id) {
  const EntityKeys keys(tenant_prefix, id);
  const auto standing = co_await read_standing(transaction, keys, ReadMode::snapshot);
  // What cannot be read here is for those that run it.
  if (!standing && standing.error().kind() == ErrorKind::corrupt) co_return true;
  if (!standing) co_return fail(standing.error());
  co_return standing->header.lock.has_value();
}

Async<bool> take_place(Transaction& transaction, const Target& target, const LimitKeys& keys,
                       int most) {
  const BytesView prefix = target.tenant.prefix();
  const auto room = static_cast<std::size_t>(most);
  const ReadMode mode = SEMPER_MUTANT("server_places_read_in_a_snapshot") ? ReadMode::snapshot
                                                                          : ReadMode::serializable;
  // Others that take one, or give one back, at the same time conflict. All are read: a limit that
  // was lowered leaves more than it allows.
  SEMPER_CO_TRY(auto ids, co_await read_places(transaction, prefix, keys, kPlacesMaximum, mode));
  std::size_t others = ids.size();
  if (std::find(ids.begin(), ids.end(), target.id.id) != ids.end()) --others;
  for (std::size_t i = 0; i < ids.size() && others >= room; ++i) {
    if (ids[i] == target.id.id) continue;
    const EntityId other{target.id.type, ids[i]};
    SEMPER_CO_TRY(const bool holds, co_await holds_place(transaction, prefix, other));
    if (holds) continue;
    transaction.clear(keys.place(ids[i]));
    --others;
  }
  if (others >= room && !SEMPER_MUTANT("server_places_without_end")) co_return false;
  transaction.set(keys.place(target.id.id), {});
  co_return true;
}

void free_place(Transaction& transaction, const Target& target, const LimitKeys& keys) {
  transaction.clear(keys.place(target.id.id));
  if (!SEMPER_MUTANT("server_place_given_back_in_silence")) transaction.add(keys.freed(), 1);
}

Bytes LimitNote::encode() const {
  Bytes out;
  cbor::Writer writer(out);
  writer.array(kLimitNoteElements);
  writer.boolean(is_rate);
  writer.text(key);
  writer.integer(since_ms);
  writer.unsigned_integer(popped);
  return out;
}

Result<LimitNote> LimitNote::decode(BytesView bytes) {
  cbor::Reader reader(bytes);
  LimitNote note;
  std::uint64_t elements = 0;
  std::string_view text;
  const bool ok = reader.read_array(elements) && elements >= kLimitNoteElements &&
                  reader.read_boolean(note.is_rate) && reader.read_text(text) &&
                  reader.read_signed(note.since_ms) && reader.read_unsigned(note.popped) &&
                  skip_rest(reader, elements, kLimitNoteElements);
  if (!ok) return fail(ErrorKind::corrupt, "the note of a limit is damaged");
  note.key = text;
  return note;
}

}  // namespace semper::internal
