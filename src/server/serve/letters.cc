#include "server/serve/letters.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "semper/base/internal/mutant.h"
#include "semper/base/log.h"
#include "server/format/timer_book.h"

namespace semper::internal {
namespace {

constexpr std::size_t kRowsRead = 64;

}  // namespace

DeadLetterRecord letter_of(const QueuedMessage& message, const Burial& burial, WallTime now) {
  const std::int64_t now_ms = in_milliseconds(now);
  return {without_timer(message), burial.reason.to_string(), now_ms, burial.attempts,
          burial.first_ms == 0 ? now_ms : burial.first_ms};
}

DeadLetterInfo letter_info(const DeadLetterRecord& letter, const Error& reason) {
  return {letter.message.content,
          letter.message.event,
          reason,
          letter.attempts,
          from_milliseconds(letter.first_attempt_ms),
          from_milliseconds(letter.time_ms)};
}

Async<void> reap_letters(Transaction& transaction, const Target& target, const LetterRules& rules,
                         std::size_t coming, WallTime now) {
  const std::int64_t oldest_ms = rules.kept_for > Duration::zero()
                                     ? in_milliseconds(now - rules.kept_for)
                                     : std::numeric_limits<std::int64_t>::min();
  std::vector<Bytes> first;  // the keys that may go
  std::size_t too_old = 0;
  std::size_t count = 0;
  const std::size_t enough =
      rules.kept > 0 ? static_cast<std::size_t>(rules.kept) + kLettersReaped : kLettersReaped;
  KeyRange rest = target.keys.dead_letters();
  for (bool more = true; more && count < enough;) {
    // Who redrives or deletes one meanwhile does not meet this.
    const RangeOptions some{.limit = kRowsRead, .mode = ReadMode::snapshot};
    SEMPER_CO_TRY(const auto page, co_await transaction.get_range(rest, some));
    for (const auto& row : page.rows) {
      ++count;
      if (first.size() == kLettersReaped) continue;
      first.push_back(row.key);
      const auto letter = decode_dead_letter(row.value);
      if (letter && letter->time_ms < oldest_ms && too_old + 1 == first.size()) ++too_old;
    }
    more = page.more && !page.rows.empty();
    if (more) rest.begin = key_after(page.rows.back().key);
  }
  std::size_t gone = too_old;
  const auto kept = static_cast<std::size_t>(rules.kept);
  if (rules.kept > 0 && count + coming > kept) gone = std::max(gone, count + coming - kept);
  gone = std::min(gone, first.size());
  if (gone == 0 || SEMPER_MUTANT("server_dead_letters_without_a_bound")) co_return Status{};
  for (std::size_t i = 0; i < gone; ++i) transaction.clear(first[i]);
  log_warning("server", target.id.to_string() + ": " + std::to_string(gone) +
                            " dead letters were removed: they were more, or older, than the type "
                            "keeps (kDeadLettersKept, kDeadLettersKeptFor)");
  co_return Status{};
}

}  // namespace semper::internal
