#include "ring/holder.h"

#include "semper/env/cancellation.h"

namespace semper::ring::internal {

bool may_live_elsewhere(const Attachment& attachment) {
  const Pointer& holder = attachment.own;
  if (!holder.attached || attachment.options.take_over == TakeOver::yes) return false;
  if (holder.process.pid == 0) return false;  // an earlier version, which names nobody
  if (attachment.shares_memory_with(holder)) return false;  // and we have its role
  if (holder.process == this_process()) return LiveMark::exists(holder.memory, attachment.side);
  return state_of(holder.process) != ProcessState::dead;
}

Async<void> watch_holder(const Attachment& attachment) {
  FormatOnDevice& format = *attachment.format;
  Clock& clock = attachment.clock();
  const MonotonicTime deadline = clock.after(kWatch);
  const Recovered& found = attachment.recovered;
  const std::uint64_t end = found.pushed.empty() ? found.exposed : found.pushed.back();
  for (;;) {
    SEMPER_CO_TRY(const Pointer now, co_await format.read_pointer(attachment.side));
    bool works = now.sequence != attachment.own.sequence || now.epoch != attachment.own.epoch;
    if (!works && attachment.side == Side::producer) {
      SEMPER_CO_TRY(const Recovered tail, co_await format.tail(now, end));
      works = tail.exposed > end || !tail.pushed.empty();
    }
    if (works) {
      co_return fail(ErrorKind::conflict,
                     std::string(format.device().name()) + ": the ring has a " +
                         std::string(to_string(attachment.side)) + ", \"" +
                         to_printable(attachment.own.client) + "\" (process " +
                         std::to_string(attachment.own.process.pid) +
                         "), at work on another machine, in another container, or through another "
                         "device of the same disk; end that one first");
    }
    if (clock.now() >= deadline) co_return Result<void>();
    SEMPER_CO_TRY_STATUS(not_cancelled(co_await asio::this_coro::cancellation_state));
    SEMPER_CO_TRY_STATUS(co_await sleep_for(clock, kWatchStep));
  }
}

}  // namespace semper::ring::internal
