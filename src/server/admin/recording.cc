#include "semper/server/recording.h"

#include <ctime>
#include <utility>

#include "semper/env/cancellation.h"
#include "semper/store/tuple_text.h"
#include "server/format/keys.h"
#include "server/format/orders.h"
#include "server/format/records.h"

namespace semper {
namespace {

using internal::EntityKeys;

constexpr std::size_t kRowsPerPage = 64;

std::string calendar_text(WallTime time) {
  const auto seconds = std::chrono::time_point_cast<std::chrono::seconds>(time);
  const std::time_t number = seconds.time_since_epoch().count();
  std::tm parts{};
  if (gmtime_r(&number, &parts) == nullptr) return "";
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

class Recorder {
 public:
  Recorder(Transaction& transaction, const Tenant& tenant, const EntityKeys& keys,
           const RecordOptions& options, Recording& out)
      : transaction_(transaction),
        prefix_bytes_(tenant.prefix().size()),
        keys_(keys),
        options_(options),
        out_(out) {}

  Async<void> record() {
    SEMPER_CO_TRY(const auto standing,
                  co_await internal::read_standing(transaction_, keys_, ReadMode::snapshot));
    if (standing.is_killed()) {
      co_return fail(ErrorKind::not_found, out_.entity.to_string() +
                                               " was killed, and hosts have not removed all of it "
                                               "yet; there is nothing to record");
    }
    const KeyRange all = keys_.everything();
    const KeyRange queue = keys_.queue();
    const KeyRange letters = keys_.dead_letters();
    // The queue comes last: what does not fit is left out there.
    SEMPER_CO_TRY_STATUS(co_await take(KeyRange{all.begin, queue.begin}));
    SEMPER_CO_TRY_STATUS(co_await take(KeyRange{queue.end, letters.begin}));
    SEMPER_CO_TRY_STATUS(co_await take(KeyRange{letters.end, all.end}));
    if (out_.rows.size() == 0) {
      SEMPER_CO_TRY(const bool waits, co_await has_rows(queue));
      SEMPER_CO_TRY(const bool failed, co_await has_rows(letters));
      if (!waits && !failed) {
        co_return fail(ErrorKind::not_found, "there is no " + out_.entity.to_string() +
                                                 ": it has neither a state nor messages");
      }
    }
    SEMPER_CO_TRY_STATUS(co_await take_letters(letters));
    SEMPER_CO_TRY_STATUS(co_await take_queue(queue, standing.header));
    SEMPER_CO_TRY(out_.version, co_await transaction_.read_version());
    co_return Status{};
  }

 private:
  Async<RangePage> page(const KeyRange& rest) {
    RangeOptions options;
    options.limit = kRowsPerPage;
    options.mode = ReadMode::snapshot;
    co_return co_await transaction_.get_range(rest, options);
  }
  Async<bool> has_rows(const KeyRange& range) {
    SEMPER_CO_TRY(const auto rows, co_await page(range));
    co_return !rows.rows.empty();
  }

  // False: it does not fit.
  bool keep(const KeyValue& row) {
    const std::size_t bytes = row.key.size() + row.value.size();
    if (bytes_ + bytes > kRecordingBytes) return false;
    bytes_ += bytes;
    out_.rows.push_back({row.key.substr(prefix_bytes_), row.value});
    return true;
  }

  // Calls visit(row) -> Result<bool> until it gives false or an error.
  template <class Visit>
  Async<void> for_each(KeyRange rest, Visit visit) {
    while (!rest.empty()) {
      SEMPER_CO_TRY(const auto rows, co_await page(rest));
      for (const auto& row : rows.rows) {
        SEMPER_CO_TRY(const bool go_on, visit(row));
        if (!go_on) co_return Status{};
      }
      if (!rows.more || rows.rows.empty()) break;
      rest.begin = key_after(rows.rows.back().key);
    }
    co_return Status{};
  }

  Async<void> take(KeyRange range) {
    const auto all_of_it = [this](const KeyValue& row) -> Result<bool> {
      if (keep(row)) return true;
      return fail(ErrorKind::exhausted, Limit{"kRecordingBytes", kRecordingBytes},
                  out_.entity.to_string() + " has more than " +
                      std::to_string(kRecordingBytes >> 20) +
                      " MiB besides its queue; `semper store backup` takes all of the store");
    };
    co_return co_await for_each(std::move(range), all_of_it);
  }

  Async<void> take_letters(KeyRange range) {
    std::size_t taken = 0;
    const auto some = [this, &taken](const KeyValue& row) -> Result<bool> {
      if (++taken <= options_.messages && keep(row)) return true;
      out_.left_out_dead_letters = true;
      return false;
    };
    co_return co_await for_each(std::move(range), some);
  }

  Async<void> take_queue(KeyRange range, const internal::Header& header) {
    std::uint64_t taken = 0;
    bool all = true;
    const auto some = [&](const KeyValue& row) -> Result<bool> {
      const auto messages = internal::decode_segment(row.value);
      if (!messages) return fail(messages.error().in("key " + printable_key(row.key)));
      // Of a lock, and of a segment that is half taken, the header speaks of the first message.
      const bool is_needed = taken == 0 && (header.lock || header.head_offset > 0);
      all = (taken < options_.messages || is_needed) && keep(row);
      if (all) taken += messages->size();
      return all;
    };
    SEMPER_CO_TRY_STATUS(co_await for_each(std::move(range), some));
    if (all) co_return Status{};
    // Header and counter would speak of messages that are not there.
    const Bytes pushed = keys_.pushed().substr(prefix_bytes_);
    for (auto& row : out_.rows) {
      if (row.key != pushed) continue;
      const std::uint64_t kept = header.popped + taken - header.head_offset;
      out_.left_out = internal::counter_value(row.value) - kept;
      row.value.clear();
      append_little_endian_u64(row.value, kept);
    }
    co_return Status{};
  }

  Transaction& transaction_;
  const std::size_t prefix_bytes_;
  const EntityKeys& keys_;
  const RecordOptions& options_;
  Recording& out_;
  std::size_t bytes_ = 0;
};

// The latest version that a row of it was stamped with.
Version latest_stamp(const Recording& recording, const EntityKeys& keys, BytesView prefix) {
  Version latest = recording.version;
  for (const auto& row : recording.rows) {
    const Bytes key = Bytes(prefix) + row.key;
    const bool is_stamped = keys.queue().contains(key) || keys.dead_letters().contains(key);
    if (!is_stamped) continue;
    const auto stamp = EntityKeys::stamp_in(key);
    if (stamp) latest = std::max(latest, Version(load_big_endian_u64(stamp->bytes())));
  }
  return latest;
}

// Puts rows from `first` on into one transaction, and moves it on.
Async<void> restore_some(Transaction& transaction, const Tenant& tenant, const Recording& recording,
                         const EntityKeys& keys, std::size_t& next) {
  const std::size_t most = transaction.limits().transaction_bytes / 2;
  std::size_t at = next;
  if (at == 0) {
    RangeOptions one;
    one.limit = 1;
    SEMPER_CO_TRY(const auto there, co_await transaction.get_range(keys.everything(), one));
    if (!there.rows.empty()) {
      co_return fail(ErrorKind::already_exists,
                     recording.entity.to_string() + " is there already; kill it first");
    }
  }
  while (at < recording.rows.size() && (at == next || transaction.size_bytes() < most)) {
    const auto& row = recording.rows[at++];
    transaction.set(tenant.prefix() + row.key, row.value);
  }
  if (at == recording.rows.size()) {
    // A host that finds nothing to do takes the entry away.
    transaction.set(keys.index(), "");
    transaction.add(keys.wake(), 1);
  }
  SEMPER_CO_TRY_STATUS(co_await transaction.commit());
  next = at;
  co_return Status{};
}

Async<void> restore(Tenant tenant, Recording recording) {
  SEMPER_CO_TRY_STATUS(recording.entity.validate());
  if (!tenant.store()) co_return fail(tenant.store().error());
  const Store& store = *tenant.store();
  const EntityKeys keys(tenant.prefix(), recording.entity);
  SEMPER_CO_TRY_STATUS(
      co_await store.backend().raise_version(latest_stamp(recording, keys, tenant.prefix())));
  for (std::size_t next = 0; next < recording.rows.size();) {
    Transaction transaction = store.begin();
    SEMPER_CO_TRY_STATUS(co_await restore_some(transaction, tenant, recording, keys, next));
  }
  co_return Status{};
}

}  // namespace

Async<Recording> record_entity(Tenant tenant, EntityId id, RecordOptions options) {
  SEMPER_CO_TRY_STATUS(id.validate());
  if (!tenant.store()) co_return fail(tenant.store().error());
  const EntityKeys keys(tenant.prefix(), id);
  co_return co_await tenant.store()->transact([&](Transaction& transaction) -> Async<Recording> {
    Recording recording;
    recording.entity = id;
    recording.tenant = options.tenant;
    recording.store = tenant.store()->url();
    recording.recorded = calendar_text(tenant.store()->env().clock->wall_time());
    Recorder recorder(transaction, tenant, keys, options, recording);
    SEMPER_CO_TRY_STATUS(co_await recorder.record());
    co_return recording;
  });
}

Async<void> restore_recording(Tenant tenant, Recording recording) {
  return run_through(restore(std::move(tenant), std::move(recording)));
}

}  // namespace semper
