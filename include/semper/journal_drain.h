// JournalDrain: accepts casts to durable servers while their store is unreachable.
//
// What for: a device, an edge node or a process that must accept requests while the store, the
// network or the remote machine is down. Each cast is written to a journal on the local disk, and
// sent to its entity when the store is reachable. Each cast takes effect exactly once, whatever
// crashes, and casts from one journal to one entity arrive in order. When not: if the store is a
// local file that is always available (a Ref's cast is simpler), or if you need replies (send a
// call when the store is reachable).
//
//   auto open = [] { return semper::open_store("sqlite:./data.db"); };
//   SEMPER_CO_TRY(auto drain, co_await semper::JournalDrain::start(device, open, options));
//   const Counter::Add one{1};                  // named first: see server/ref.h
//   SEMPER_CO_TRY(auto written, co_await drain.cast<Counter>("page/home", one));
//   ... // durable, on this disk; to wait until it is in the entity's queue:
//   SEMPER_CO_TRY_STATUS(co_await written.sync());
//   SEMPER_CO_TRY_STATUS(co_await drain.shutdown());
//
// How it works: the journal performs with cast_once. Every start draws a random name for the casts
// it will accept, which is written into each item; the item's position is its number. So casts that
// are sent again after a crash are skipped, and so are casts that are in two copies of a ring, or
// again in a ring restored from a backup. A newly accepted cast never reuses a number. The cost is
// two rows of about 100 bytes in the store for each start that sent anything; the last
// kOnceStartsRemembered starts of a ring and its copies are kept. A cast that an earlier, forgotten
// start accepted and may have sent is `exhausted`, and stops the drain. Cloning a machine with the
// running process in its memory makes two copies of one process: shut the process down first.
//
// An item that is not a cast of this ring (something else was written there, or items were copied
// from another ring) stops the drain. Items before it still go to their entities; that item and
// those behind it wait until you remove it with `semper ring consume --count 1`.
// A store that cannot be opened, or fails, is tried again after JournalOptions::retry_interval, for
// as long as it takes. It is reopened after an error that says that the handle is no longer usable.
// Bounds, ownership, threads: as Journal's. Errors of cast: Journal::push's, and invalid_argument.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "semper/base/type_name.h"
#include "semper/block/block_device.h"
#include "semper/ring/journal.h"
#include "semper/server/ref.h"
#include "semper/store/store.h"

namespace semper {

// Larger messages are refused when they are written, because not every store could accept them.
inline constexpr std::size_t kDrainMessageBytes = 64u << 10;

class JournalDrain {
 public:
  using OpenStore = std::function<Async<Store>()>;

  // Opens the journal, or creates one on a blank device (JournalOptions::format must be semper_1,
  // because the other format has no identity), and begins to drain it. Errors: Journal::start's;
  // unsupported (format).
  static Async<JournalDrain> start(BlockDevice& device, OpenStore open,
                                   ring::JournalOptions options);

  // Durable on success: the message, on this disk; it will take effect exactly once.
  template <class B, CastOf<B> M>
  Async<ring::Journal::Waiter> cast(std::string id, const M& message,
                                    MonotonicTime deadline = kNever) {
    return cast_raw(EntityId{std::string(type_name<B>()), std::move(id)},
                    RawMessage{std::string(short_type_name<M>()), encode(message)}, deadline);
  }
  Async<ring::Journal::Waiter> cast_raw(EntityId to, RawMessage message,
                                        MonotonicTime deadline = kNever);

  // As Journal's: waits until the casts that start() found on the disk are in the entities' queues.
  Async<void> replayed(MonotonicTime deadline = kNever) { return journal_.replayed(deadline); }

  // As Journal's: drains what it can at once; the rest stays for the next start.
  Async<void> shutdown(MonotonicTime deadline = kNever) { return journal_.shutdown(deadline); }
  Async<void> close(MonotonicTime deadline = kNever) { return shutdown(deadline); }
  Status status() const { return journal_.status(); }
  ring::JournalStatistics statistics() const { return journal_.statistics(); }

 private:
  struct Target;
  JournalDrain(ring::Journal journal, std::shared_ptr<Target> target);

  ring::Journal journal_;
  std::shared_ptr<Target> target_;
};

}  // namespace semper
