// Orders: how kill(), reset() and unlock() reach an entity that others write to without a pause.
//
// A transaction that reads the header loses against a consumer that keeps committing it, and one
// that reads the queue loses against its publishers. So an order is a row of its own, written
// without reading either. It declares the header as written: whatever a consumer has begun
// conflicts, and every load of an entity reads the row between header and pushed count.
//
//   kill    Everything that the entity held at the row's stamp is dead from that commit on: no
//           message of it runs, no result of it is written. What lies in the store is removed
//           afterwards, in transactions of bounded size, by kill() itself or, where that was
//           stopped, by any host that meets the row. Messages sent after the order wait for that,
//           then begin with init.
//   reset   The next load begins with init, and without a lock: what the lock's holder makes of the
//           former state is not written. The commit of the new state takes the row away. Entries of
//           collections are removed before that, as those of a killed entity.
//   unlock  The lock of this nonce is gone: no result of its holder is written. The next commit of
//           the entity takes the row away. A reset that comes meanwhile keeps the nonce.
//   hold    Only asked for: an atomically(), which others overtook too often, wants to be let by.
//           Hosts leave the entity's messages alone as long as the row stands, but no longer than
//           it says, by their own clocks and from when they see it. It goes with the commit that it
//           was asked for, with one of a host that has waited for it, or with an order that is
//           given meanwhile. Nothing is wrong where nobody heeds it: whoever commits first wins.
//
// Queue segments and timers are told apart by their stamps, so publishers need not know of orders.
// Only orders and removals read the row in a way that conflicts.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "semper/env/clock.h"
#include "semper/store/transaction.h"
#include "server/format/records.h"
#include "server/format/target.h"

namespace semper::internal {

// Rows of the queue, dead letters, or entries of collections, that one transaction of a removal
// takes.
inline constexpr std::size_t kRemovedRows = 1'000;
// Transactions of a removal that a load of the entity does before it looks again.
inline constexpr std::size_t kRemovalsPerLoad = 64;
// Callers that it tells; fewer where the store takes less.
inline constexpr std::size_t kRemovedCalls = 1'000;

struct Order {
  enum class Kind : std::uint8_t { kill = 0, reset = 1, unlock = 2, hold = 3 };

  Kind kind = Kind::kill;
  Versionstamp stamp;  // of the order's commit; incomplete while it is given
  // Kill, once the removal has begun: messages of the first segment left that are done with. Before
  // that the header says so.
  std::optional<std::uint64_t> done_of_first;
  // Reset, unlock: the lock that is gone.
  std::optional<std::uint64_t> unlocks;
  // Hold: for so long at most.
  std::optional<std::uint64_t> hold_ms;

  bool takes_lock_of(std::uint64_t nonce) const { return unlocks == nonce; }

  Bytes encode() const;
  static Result<Order> decode(BytesView bytes);
};

// What orders leave of an entity: where it was killed there is no header, after a reset no state.
struct Standing {
  Header header;
  std::optional<Order> order;

  // The part of the queue that is alive.
  KeyRange queue(const EntityKeys& keys) const;
  bool is_killed() const { return order && order->kind == Order::Kind::kill; }
  // False: what lies in them is dead.
  bool has_collections() const {
    return !order || order->kind == Order::Kind::unlock || order->kind == Order::Kind::hold;
  }
};
// Reads header and order, and nothing that publishers write. Errors: corrupt and unsupported where
// one of them cannot be read.
Async<Standing> read_standing(Transaction& transaction, const EntityKeys& keys, ReadMode mode);

// Messages in the queue by its counters. While a killed entity is being removed they may contradict
// each other: then none.
std::uint64_t count_waiting(const std::optional<Bytes>& pushed, std::uint64_t popped);

// Has a host look for the message whose lock was taken away.
void handle_again(Transaction& transaction, const EntityKeys& keys);

// Each returns whether it wrote: not where the same order stands already (or, for reset and unlock,
// a kill).
Async<bool> order_kill(Transaction& transaction, const Target& target);
Async<bool> order_reset(Transaction& transaction, const Target& target);
Async<bool> order_unlock(Transaction& transaction, const Target& target, std::uint64_t nonce);

// What it is asked by; bytes that the store writes at commit are all of it.
using HoldStamp = Bytes;
HoldStamp hold_stamp(const Versionstamp& committed);
// The entity is to be held for this transaction's stamp. False: another's hold stands, but for
// `instead_of`, and nothing was written. True, too, where an order stands, which is carried out
// first.
Async<bool> ask_to_hold(Transaction& transaction, const EntityKeys& keys, Duration at_most,
                        const HoldStamp& instead_of);
// That one is over.
Async<void> end_hold(Transaction& transaction, const EntityKeys& keys, const HoldStamp& stamp);

// A hold that an entity was loaded with, as one who looks sees it.
struct Hold {
  HoldStamp stamp;
  Duration at_most{};
};
class SeenHold {
 public:
  // Whether to leave the entity alone for it now. Called at each look.
  bool stands(const std::optional<Hold>& hold, MonotonicTime now);

 private:
  HoldStamp stamp_;
  MonotonicTime until_{};
};
// Who leaves an entity alone looks again so often.
inline constexpr Duration kHoldLook = std::chrono::milliseconds(2);
// No hold is heeded for longer, whatever its row says.
inline constexpr Duration kHoldMaximum = std::chrono::seconds(10);

// Carries an order to kill out: waiting callers get `closed`, and everything older than the order
// goes. In at most `transactions` of bounded size. True: it is done, or there was no such order.
Async<bool> remove_killed(const Target& target, std::size_t transactions);

// As much of the collections as one transaction takes. True: nothing is left of them.
Async<bool> clear_collections(Transaction& transaction, const EntityKeys& keys);
Async<bool> has_entries(Transaction& transaction, const EntityKeys& keys);
// Carries out what an order to reset means to collections, in at most so many transactions of
// bounded size. True: it is done, or there was no such order. The order stays.
Async<bool> remove_entries_of_reset(const Target& target, std::size_t transactions);

}  // namespace semper::internal
