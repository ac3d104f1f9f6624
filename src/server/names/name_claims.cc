#include "server/names/name_claims.h"

#include <utility>

#include "semper/base/internal/mutant.h"
#include "server/format/name_keys.h"
#include "server/format/records.h"

namespace semper::internal {
namespace {

// Those before it that have died and are passed over in one transaction; the rest with the next
// look.
constexpr std::size_t kPassedOver = 16;

Async<std::optional<NameRecord>> read_record(Transaction& transaction, BytesView prefix,
                                             const std::string& name, ReadMode mode) {
  const Bytes key = name_key(prefix, name);
  SEMPER_CO_TRY(const auto row, co_await transaction.get(key, mode));
  if (!row) co_return std::nullopt;
  auto record = NameRecord::decode(*row);
  if (!record) co_return fail(record.error().in("the name " + name));
  co_return std::move(*record);
}

void clear_fields(Transaction& transaction, BytesView prefix, const std::string& name,
                  const NameMetadata& metadata) {
  for (const auto& [field, value] : metadata) {
    transaction.clear(name_field_key(prefix, field, value, name));
  }
}

void set_fields(Transaction& transaction, BytesView prefix, const std::string& name,
                const NameMetadata& metadata) {
  for (const auto& [field, value] : metadata) {
    transaction.set(name_field_key(prefix, field, value, name), {});
  }
}

void erase(Transaction& transaction, BytesView prefix, const std::string& name,
           const NameRecord& record) {
  transaction.clear(name_key(prefix, name));
  transaction.clear(name_held_key(prefix, record.session, name));
  clear_fields(transaction, prefix, name, record.metadata);
}

bool is_of(const NameRecord& record, const NameClaim& claim) {
  return record.session == claim.session && record.holding == claim.holding;
}

// `former`: a row that a dead session has left.
void write_holder(Transaction& transaction, const NameClaim& claim,
                  const std::optional<NameRecord>& former) {
  if (former) erase(transaction, claim.prefix, claim.name, *former);
  NameRecord record;
  record.session = claim.session;
  record.holding = claim.holding;
  record.owner = claim.owner;
  record.since_ms = claim.since_ms;
  record.metadata = claim.metadata;
  transaction.set_versionstamped_value(name_key(claim.prefix, claim.name), record.encode(), 0);
  transaction.set(name_held_key(claim.prefix, claim.session, claim.name), {});
  set_fields(transaction, claim.prefix, claim.name, claim.metadata);
}

// The claim's places in the line. One, or none; more only where the store broke its promises.
Async<std::vector<Versionstamp>> places_of(Transaction& transaction, const NameClaim& claim) {
  const KeyRange range = name_waits(claim.prefix, claim.session, claim.name);
  SEMPER_CO_TRY(const auto page, co_await transaction.get_range(range));
  std::vector<Versionstamp> places;
  for (const auto& row : page.rows) {
    if (row.value != claim.holding) continue;
    auto tied = tied_name(claim.prefix, row.key);
    if (!tied) co_return fail(tied.error());
    places.push_back(tied->place);
  }
  co_return places;
}

void clear_place(Transaction& transaction, BytesView prefix, const Bytes& session,
                 const std::string& name, const Versionstamp& place) {
  transaction.clear(candidate_key(prefix, name, place));
  transaction.clear(name_wait_key(prefix, session, name, place));
}

// The key of the nearest place before `end` whose session lives; those of dead ones are cleared on
// the way.
Async<std::optional<Bytes>> living_before(Transaction& transaction, const NameClaim& claim,
                                          Bytes end) {
  KeyRange before = candidates_of(claim.prefix, claim.name);
  before.end = std::move(end);
  RangeOptions options;
  options.limit = kPassedOver;
  options.order = semper::Order::descending;
  options.mode = ReadMode::snapshot;
  SEMPER_CO_TRY(const auto page, co_await transaction.get_range(before, options));
  for (const auto& row : page.rows) {
    SEMPER_CO_TRY(const bool lives,
                  co_await session_lives(transaction, claim.prefix, row.value, ReadMode::snapshot));
    if (lives) co_return row.key;
    SEMPER_CO_TRY(const auto place, place_of_candidate_key(claim.prefix, row.key));
    clear_place(transaction, claim.prefix, row.value, claim.name, place);
  }
  if (page.more && !page.rows.empty()) co_return page.rows.back().key;  // cleared by this commit
  co_return std::nullopt;
}

Async<ClaimOutcome> watched(Transaction& transaction, Bytes key, ClaimOutcome outcome) {
  outcome.kind = ClaimOutcome::Kind::waits;
  SEMPER_CO_TRY(auto watch, co_await transaction.watch(key));
  outcome.change = std::move(watch);
  co_return outcome;
}

// What every claim begins with: whether it is decided already, and who holds the name otherwise.
struct Beginning {
  std::optional<ClaimOutcome> decided;
  std::optional<NameRecord> record;  // also one that a dead session has left
  bool is_held = false;
};
Async<Beginning> begin_claim(Transaction& transaction, const NameClaim& claim) {
  Beginning beginning;
  SEMPER_CO_TRY(const bool lives, co_await session_lives(transaction, claim.prefix, claim.session));
  if (!lives && !SEMPER_MUTANT("server_names_dead_session_takes")) {
    beginning.decided.emplace();
    beginning.decided->kind = ClaimOutcome::Kind::session_gone;
    co_return beginning;
  }
  SEMPER_CO_TRY(beginning.record, co_await read_record(transaction, claim.prefix, claim.name,
                                                       ReadMode::serializable));
  if (!beginning.record) co_return beginning;
  if (is_of(*beginning.record, claim)) {
    beginning.decided.emplace();
    beginning.decided->kind = ClaimOutcome::Kind::taken;
    beginning.decided->token = beginning.record->token();
    co_return beginning;
  }
  SEMPER_CO_TRY(beginning.is_held,
                co_await session_lives(transaction, claim.prefix, beginning.record->session));
  co_return beginning;
}

ClaimOutcome of_kind(ClaimOutcome::Kind kind) {
  ClaimOutcome outcome;
  outcome.kind = kind;
  return outcome;
}

}  // namespace

Async<bool> session_lives(Transaction& transaction, BytesView prefix, const Bytes& session,
                          ReadMode mode) {
  const Bytes key = names_session_key(prefix, session);
  SEMPER_CO_TRY(const auto row, co_await transaction.get(key, mode));
  co_return row.has_value();
}

Async<std::optional<NameRecord>> read_holder(Transaction& transaction, BytesView prefix,
                                             const std::string& name, ReadMode mode) {
  SEMPER_CO_TRY(auto record, co_await read_record(transaction, prefix, name, mode));
  if (!record) co_return std::nullopt;
  SEMPER_CO_TRY(const bool lives,
                co_await session_lives(transaction, prefix, record->session, mode));
  if (!lives) co_return std::nullopt;
  co_return record;
}

Async<ClaimOutcome> take_name(Transaction& transaction, const NameClaim& claim) {
  SEMPER_CO_TRY(auto beginning, co_await begin_claim(transaction, claim));
  if (beginning.decided) co_return std::move(*beginning.decided);
  ClaimOutcome outcome;
  if (beginning.is_held) {
    outcome.holder = std::move(beginning.record);
    co_return outcome;
  }
  SEMPER_CO_TRY(
      const auto waiting,
      co_await living_before(transaction, claim, candidates_of(claim.prefix, claim.name).end));
  if (waiting && !SEMPER_MUTANT("server_names_line_is_jumped")) co_return outcome;
  write_holder(transaction, claim, beginning.record);
  co_return of_kind(ClaimOutcome::Kind::taken);
}

Async<ClaimOutcome> join_line(Transaction& transaction, const NameClaim& claim) {
  SEMPER_CO_TRY(auto taken, co_await take_name(transaction, claim));
  if (taken.kind != ClaimOutcome::Kind::held) co_return taken;
  // One whose commit had an unknown outcome may stand there already.
  SEMPER_CO_TRY(const auto places, co_await places_of(transaction, claim));
  if (!places.empty()) co_return of_kind(ClaimOutcome::Kind::waits);
  RangeOptions counted;
  counted.limit = kCandidatesMaximum;
  counted.mode = ReadMode::snapshot;
  SEMPER_CO_TRY(const auto line,
                co_await transaction.get_range(candidates_of(claim.prefix, claim.name), counted));
  if (line.rows.size() >= kCandidatesMaximum) co_return of_kind(ClaimOutcome::Kind::line_is_full);
  const auto place = Versionstamp::incomplete(0);
  Bytes candidate = candidate_key(claim.prefix, claim.name, place);
  Bytes wait = name_wait_key(claim.prefix, claim.session, claim.name, place);
  const std::size_t candidate_stamp = candidate.size() - kPlaceBytes;
  const std::size_t wait_stamp = wait.size() - kPlaceBytes;
  transaction.set_versionstamped_key(std::move(candidate), candidate_stamp, claim.session);
  transaction.set_versionstamped_key(std::move(wait), wait_stamp, claim.holding);
  co_return of_kind(ClaimOutcome::Kind::waits);
}

Async<ClaimOutcome> look_in_line(Transaction& transaction, const NameClaim& claim) {
  SEMPER_CO_TRY(auto beginning, co_await begin_claim(transaction, claim));
  if (beginning.decided) {
    if (beginning.decided->kind == ClaimOutcome::Kind::taken) {
      SEMPER_CO_TRY(const auto left, co_await places_of(transaction, claim));
      for (const auto& place : left) {
        clear_place(transaction, claim.prefix, claim.session, claim.name, place);
      }
    }
    co_return std::move(*beginning.decided);
  }
  SEMPER_CO_TRY(const auto places, co_await places_of(transaction, claim));
  if (places.empty()) co_return of_kind(ClaimOutcome::Kind::session_gone);  // to begin anew
  Bytes own = candidate_key(claim.prefix, claim.name, places.front());
  SEMPER_CO_TRY(auto before, co_await living_before(transaction, claim, std::move(own)));
  ClaimOutcome waits;
  if (before && !SEMPER_MUTANT("server_names_line_is_jumped")) {
    co_return co_await watched(transaction, std::move(*before), std::move(waits));
  }
  if (beginning.is_held && !SEMPER_MUTANT("server_names_held_is_taken")) {
    co_return co_await watched(transaction, name_key(claim.prefix, claim.name), std::move(waits));
  }
  write_holder(transaction, claim, beginning.record);
  for (const auto& place : places) {
    clear_place(transaction, claim.prefix, claim.session, claim.name, place);
  }
  co_return of_kind(ClaimOutcome::Kind::taken);
}

Async<bool> give_back(Transaction& transaction, const NameClaim& claim, LurkingCommit lurking) {
  SEMPER_CO_TRY(const auto record, co_await read_record(transaction, claim.prefix, claim.name,
                                                        ReadMode::serializable));
  SEMPER_CO_TRY(const auto places, co_await places_of(transaction, claim));
  for (const auto& place : places) {
    clear_place(transaction, claim.prefix, claim.session, claim.name, place);
  }
  const bool is_ours = record && is_of(*record, claim);
  if (is_ours) erase(transaction, claim.prefix, claim.name, *record);
  if (lurking == LurkingCommit::none) co_return is_ours;
  // All of a claim's commits have read this one.
  transaction.add_write_conflict_range(
      KeyRange::point(names_session_key(claim.prefix, claim.session)));
  co_return is_ours;
}

Async<bool> change_metadata(Transaction& transaction, const NameClaim& claim,
                            const NameMetadata& metadata) {
  SEMPER_CO_TRY(auto record, co_await read_record(transaction, claim.prefix, claim.name,
                                                  ReadMode::serializable));
  if (!record || !is_of(*record, claim)) co_return false;
  clear_fields(transaction, claim.prefix, claim.name, record->metadata);
  record->metadata = metadata;
  set_fields(transaction, claim.prefix, claim.name, metadata);
  transaction.set(name_key(claim.prefix, claim.name), record->encode());
  co_return true;
}

Async<bool> bury_session(Transaction& transaction, BytesView prefix, const Bytes& session,
                         std::optional<std::uint64_t> renewals) {
  const Bytes key = names_session_key(prefix, session);
  SEMPER_CO_TRY(const auto row, co_await transaction.get(key));
  if (!row) co_return false;
  if (renewals && !SEMPER_MUTANT("server_names_renewed_is_buried")) {
    const auto alive = decode_alive(*row);
    if (alive && alive->renewals != *renewals) co_return false;
  }
  transaction.clear(key);
  transaction.set(names_grave_key(prefix, session), {});
  co_return true;
}

Async<bool> clear_buried(Transaction& transaction, BytesView prefix, const Bytes& session) {
  RangeOptions some;
  some.limit = kClearedAtOnce;
  SEMPER_CO_TRY(const auto page, co_await transaction.get_range(name_ties(prefix, session), some));
  for (const auto& row : page.rows) {
    transaction.clear(row.key);
    const auto tied = tied_name(prefix, row.key);
    if (!tied) continue;
    if (tied->tie == NameTie::waits) {
      clear_place(transaction, prefix, session, tied->name, tied->place);
      continue;
    }
    // One that another has taken since is not touched.
    const auto record =
        co_await read_record(transaction, prefix, tied->name, ReadMode::serializable);
    if (!record && record.error().kind() != ErrorKind::corrupt) co_return fail(record.error());
    if (record && *record && (*record)->session == session) {
      erase(transaction, prefix, tied->name, **record);
    }
  }
  if (page.more || page.rows.size() >= kClearedAtOnce) co_return false;
  transaction.clear(names_grave_key(prefix, session));
  co_return true;
}

}  // namespace semper::internal
