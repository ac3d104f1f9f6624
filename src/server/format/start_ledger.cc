#include "server/format/start_ledger.h"

#include <array>
#include <utility>

#include "semper/base/internal/mutant.h"
#include "server/format/keys.h"

namespace semper::internal {
namespace {

using Numbers = std::array<std::uint64_t, 3>;
constexpr std::size_t kNumberBytes = sizeof(std::uint64_t);

Bytes encode_numbers(const Numbers& numbers) {
  Bytes out;
  for (const std::uint64_t number : numbers) append_little_endian_u64(out, number);
  return out;
}

Result<Numbers> decode_numbers(BytesView row, BytesView key) {
  Numbers numbers = {};
  if (row.size() != numbers.size() * kNumberBytes) {
    return fail(ErrorKind::corrupt, "the row " + to_printable(key) + " of cast_once has " +
                                        std::to_string(row.size()) + " bytes, not " +
                                        std::to_string(numbers.size() * kNumberBytes));
  }
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    numbers[i] = load_little_endian_u64(row.substr(i * kNumberBytes));
  }
  return numbers;
}

}  // namespace

StartLedger::StartLedger(Transaction& transaction, BytesView tenant_prefix, const OnceStart& start,
                         std::uint64_t remembered)
    : transaction_(&transaction),
      log_key_(once_log_key(tenant_prefix, start.log)),
      start_key_(once_start_key(log_key_, start.start)),
      start_(&start),
      remembered_(remembered) {}

Async<StartLedger::Log> StartLedger::read_log() {
  SEMPER_CO_TRY(const auto raw, co_await transaction_->get(log_key_));
  if (!raw) co_return Log{};
  SEMPER_CO_TRY(const Numbers numbers, decode_numbers(*raw, log_key_));
  Log log;
  log.next_place = numbers[0];
  log.count = numbers[1];
  log.forgotten_below = numbers[2];
  co_return log;
}

Async<std::optional<std::uint64_t>> StartLedger::sent() {
  SEMPER_CO_TRY(const auto raw, co_await transaction_->get(start_key_));
  if (raw) {
    SEMPER_CO_TRY(const Numbers numbers, decode_numbers(*raw, start_key_));
    place_ = numbers[2];
    co_return std::optional<std::uint64_t>(numbers[0]);
  }
  if (start_->sent_nothing) co_return std::optional<std::uint64_t>();
  SEMPER_CO_TRY(const Log log, co_await read_log());
  if (start_->order < log.forgotten_below && !SEMPER_MUTANT("drain_forgotten_start_sends_again")) {
    co_return fail(ErrorKind::exhausted, Limit{"kOnceStartsRemembered", kOnceStartsRemembered},
                   "start " + start_->start + " of " + start_->log +
                       " may have sent this before: " + std::to_string(remembered_) +
                       " other starts of it, or of its copies, have sent since, and older ones "
                       "are forgotten");
  }
  co_return std::optional<std::uint64_t>();
}

Async<void> StartLedger::forget_one(Log& log) {
  RangeOptions first;
  first.limit = 1;
  SEMPER_CO_TRY(const auto page, co_await transaction_->get_range(once_places(log_key_), first));
  if (page.rows.empty()) {
    log.count = 0;
    co_return Status{};
  }
  const Bytes key = once_start_key(log_key_, page.rows.front().value);
  SEMPER_CO_TRY(const auto raw, co_await transaction_->get(key));
  if (raw) {
    SEMPER_CO_TRY(const Numbers numbers, decode_numbers(*raw, key));
    log.forgotten_below = std::max(log.forgotten_below, numbers[1] + 1);
  }
  transaction_->clear(key);
  transaction_->clear(page.rows.front().key);
  --log.count;
  co_return Status{};
}

Async<void> StartLedger::set_sent(std::uint64_t sequence) {
  const bool is_new = !place_;
  SEMPER_CO_TRY(Log log, co_await read_log());
  if (is_new || log.next_place - *place_ > remembered_ / 2) {
    if (is_new) {
      // Two, so that a bound that a newer version lowered is reached.
      for (int i = 0; i < 2 && log.count >= remembered_; ++i) {
        SEMPER_CO_TRY_STATUS(co_await forget_one(log));
      }
      ++log.count;
    } else {
      transaction_->clear(once_place_key(log_key_, *place_));
    }
    place_ = log.next_place++;
    transaction_->set(once_place_key(log_key_, *place_), start_->start);
    transaction_->set(log_key_, encode_numbers({log.next_place, log.count, log.forgotten_below}));
  }
  transaction_->set(start_key_, encode_numbers({sequence, start_->order, *place_}));
  co_return Status{};
}

}  // namespace semper::internal
