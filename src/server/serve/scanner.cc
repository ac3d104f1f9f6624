#include "server/serve/scanner.h"

#include <algorithm>
#include <utility>

#include "semper/base/internal/mutant.h"
#include "semper/store/too_old.h"
#include "server/format/keys.h"
#include "server/serve/news.h"
#include "server/serve/waiting.h"

namespace semper::internal {

Task<void> Scanner::run(std::shared_ptr<ServedType> type, std::shared_ptr<Membership> membership,
                        std::shared_ptr<Permits> permits, std::uint32_t shard) {
  auto& core = type->served().core();
  auto inside = core.gate.enter();
  if (!inside) co_return;
  std::vector<News::Place> kept;
  while (!core.stopping.stop_requested()) {
    auto news = membership->next_change();
    if (SEMPER_MUTANT("server_waiters_pile_up")) kept.push_back(membership->next_change());
    Round round{shard, membership->share(type->type(), shard), nullptr, kSafetyInterval};
    if (round.share != Membership::Share::none) {
      const Status scanned = co_await scan(*type, *permits, round);
      if (!scanned && is_too_old(scanned.error())) continue;  // this process was stopped
      if (!scanned && scanned.error().kind() != ErrorKind::closed) {
        core.trouble.failed(core.clock().now(), "looking for work of type " + type->type(),
                            scanned.error());
      }
    }
    if (type->take_left_over(shard, news.event())) continue;
    co_await wait_for_news(core, std::move(round.watch), news.event(), round.until_next);
  }
}

Async<void> Scanner::scan(ServedType& type, Permits& permits, Round& round) {
  const auto& served = type.served();
  auto& core = served.core();
  KeyRange rest = index_range(core.tenant.prefix(), type.type(), round.shard);
  for (bool first = true;; first = false) {
    const Bytes to_watch =
        first ? wake_key(core.tenant.prefix(), type.type(), round.shard) : Bytes();
    SEMPER_CO_TRY(const auto page, co_await read(core, rest, to_watch, round.watch));
    for (const auto& row : page.rows.rows) {
      const auto id = id_of_index_key(core.tenant.prefix(), row.key);
      if (!id && SEMPER_MUTANT("server_foreign_row_stops_its_shard")) co_return fail(id.error());
      if (!id) {  // somebody else's, or damaged: it keeps nobody from those behind it
        core.trouble.failed(core.clock().now(), "reading the index of type " + type.type(),
                            id.error());
        continue;
      }
      const Duration left = left_alone(served, round.share, *id, row.value);
      if (left > Duration(0)) {
        round.until_next = std::min(round.until_next, left);
        continue;
      }
      auto slot = type.slot(*id);
      if (!slot->is_news(page.version)) continue;
      if (const Duration wait = throttled(served, slot->target().id); wait > Duration(0)) {
        round.until_next = std::min(round.until_next, wait);
        continue;
      }
      if (slot->has_permit()) {
        slot->notice_queue(page.version);
        continue;
      }
      SEMPER_CO_TRY(auto permit, co_await permits.acquire(core));
      type.groups().add(std::move(slot), page.version, std::move(permit));
    }
    if (!page.rows.more) co_return Status{};
    rest.begin = key_after(page.rows.rows.back().key);
  }
}

Duration Scanner::left_alone(const ServedBehaviour& served, Membership::Share share,
                             const std::string& id, BytesView mark) {
  auto& left_alone = served.left_alone();
  const auto needs = Needs::decode(mark);
  const bool is_beyond_us = needs && !served.meets(*needs);
  if (share == Membership::Share::marked) {
    if (is_beyond_us || (!needs && !left_alone.is_adopted(id))) return kSafetyInterval;
    left_alone.adopt(id);
  }
  return left_alone.until_look(id, is_beyond_us, served.core().clock().now());
}

Duration Scanner::throttled(const ServedBehaviour& served, const EntityId& id) {
  Throttle* const throttle = served.throttle();
  return throttle == nullptr ? Duration(0) : throttle->until_look(id);
}

// A transaction of its own: one that waited for permits would keep the store's log meanwhile.
Async<Scanner::Page> Scanner::read(HostCore& core, const KeyRange& rows, BytesView to_watch,
                                   std::unique_ptr<Watch>& watch) {
  Transaction transaction = core.store().begin();
  if (!to_watch.empty()) {
    SEMPER_CO_TRY(watch, co_await transaction.watch(to_watch));
  }
  Page page;
  SEMPER_CO_TRY(page.rows, co_await transaction.get_range(
                               rows, {.limit = kIndexRowsPerRead, .mode = ReadMode::snapshot}));
  SEMPER_CO_TRY(page.version, co_await transaction.read_version());
  co_return page;
}

}  // namespace semper::internal
