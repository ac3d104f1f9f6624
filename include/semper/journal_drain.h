// JournalDrain: casts to durable servers that are accepted while their store cannot be reached.
//
// What for: a device, an edge, a process that must take orders although the store, the network to it
// or the machine behind it is away: each cast is written to a journal on the local disk, and goes on
// to its entity when the store is there. Each takes effect exactly once, whatever crashes, and those
// from one journal to one entity in order. When not: the store is a local file that is always there
// (a Ref's cast is the shorter way); replies (send a call when the store is reachable).
//
//   auto open = [] { return semper::open_store("sqlite:./data.db"); };
//   SEMPER_CO_TRY(auto drain, co_await semper::JournalDrain::start(device, open, options));
//   const Counter::Add one{1};                  // named first: see server/ref.h
//   SEMPER_CO_TRY(auto written, co_await drain.cast<Counter>("page/home", one));
//   ... // durable, on this disk; to wait until it is in the entity's queue:
//   SEMPER_CO_TRY_STATUS(co_await written.sync());
//   SEMPER_CO_TRY_STATUS(co_await drain.shutdown());
//
// How: the journal performs by cast_once. Every start draws a random name for what it will accept,
// which is written into each item; its number there is the item's position. So what a crash makes it
// send again is passed over, and so is what two copies of a ring hold both, or one that was restored
// from a backup holds again; what is accepted afterwards never goes by a number that was used before.
// The price: two rows of about 100 bytes in the store for each start that sent anything, of which the
// last kOnceStartsRemembered of a ring and its copies are kept. What an earlier start accepted, and
// may have sent before it was forgotten, is `exhausted` and stops the drain. A machine that is cloned
// with the running process in its memory is one process twice: shut down first.
//
// What is in the ring and is no cast of this ring's (something else was written there, or items were
// carried over from another one) stops the drain there: what lies before it goes on to its entity,
// it and what is behind it wait until it was taken out, by `semper ring consume --count 1`.
// A store that cannot be opened, or fails, is tried again after JournalOptions::retry_interval, for
// as long as it takes; opened anew after an error that says it is of no more use.
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

// Messages past this are refused when they are written, because not every store could take them.
inline constexpr std::size_t kDrainMessageBytes = 64u << 10;

class JournalDrain {
 public:
  using OpenStore = std::function<Async<Store>()>;

  // Opens the journal, or makes one on a blank device (JournalOptions::format must be semper_1: the
  // other has no identity), and begins to drain it. Errors: Journal::start's; unsupported (format).
  static Async<JournalDrain> start(BlockDevice& device, OpenStore open,
                                   ring::JournalOptions options);

  // Durable on success: the message, here; it will take effect exactly once.
  template <class B, class M>
  requires HandlesCast<B, M> Async<ring::Journal::Waiter> cast(std::string id, const M& message,
                                                               MonotonicTime deadline = kNever) {
    return cast_raw(EntityId{std::string(type_name<B>()), std::move(id)},
                    RawMessage{std::string(short_type_name<M>()), encode(message)}, deadline);
  }
  Async<ring::Journal::Waiter> cast_raw(EntityId to, RawMessage message,
                                        MonotonicTime deadline = kNever);

  // As Journal's: waits until what start() found on the disk is in the entities' queues.
  Async<void> replayed(MonotonicTime deadline = kNever) { return journal_.replayed(deadline); }

  // As Journal's: drains what it can at once, the rest stays for the next start.
  Async<void> shutdown(MonotonicTime deadline = kNever) { return journal_.shutdown(deadline); }
  Status status() const { return journal_.status(); }
  ring::JournalStatistics statistics() const { return journal_.statistics(); }

 private:
  struct Target;
  JournalDrain(ring::Journal journal, std::shared_ptr<Target> target);

  ring::Journal journal_;
  std::shared_ptr<Target> target_;
};

}  // namespace semper
