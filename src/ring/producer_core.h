// The working parts of a Producer.
//
// Calls put their items into the encoder, one after another, and wait. Mostly that is done at once;
// where something has to be read or waited for first, it is done apart (apart.h), by work that
// holds the turn. One coroutine, the drain, takes what has gathered, writes it, flushes it, and
// answers. While it does so the next calls gather: that is the whole of the group commit, there is
// no timer.
//
// A caller starts the drain by a kick on its own loop, so that whoever is ready there gathers
// first. It then runs on no loop, but on the thread that brings the news (DirectExecutor): a loop
// that is destroyed, or that nobody runs any more, takes its own callers with it and nobody else's.
//
// Invariants:
//   consumed_ <= exposed_ <= durable_end_, at most one lap apart; nothing is written beyond
//   encoder_->limit(consumed_); consumed_ grows only to what is durable on the disk.
//   unexposed_ is in order, and lies between exposed_ and durable_end_, but for what an earlier
//   producer left (kept_).
//   Only the drain writes, and one thing after another; but for parts of the round that gathers,
//   which go to the device when the round before has ended, several at a time. The drain flushes
//   when all of them are there. Once something failed, nothing is written any more (dead_).
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "ring/apart.h"
#include "ring/attachment.h"
#include "semper/ring/item.h"
#include "semper/ring/options.h"
#include "semper/ring/position.h"

namespace semper::ring::internal {

// Calls of push that advance may still name one by one.
inline constexpr std::size_t kMaxUnexposedPushes = 65536;

class ProducerCore : public std::enable_shared_from_this<ProducerCore> {
 public:
  ProducerCore(Attachment attachment);

  // `patience`: with kNoWait, how long a device may take to say whether there is room; `timeout`,
  // and nothing is written then.
  Async<Position> submit(ItemList items, Exposure exposure, MonotonicTime deadline,
                         MonotonicTime patience = kNever);
  Async<void> advance(Position position);
  Async<State> state();
  Async<DebugInfo> debug_info();
  Async<void> detach();

  // `told` is called, on the drain's thread, whenever more is exposed, whether or not somebody
  // waits for it, with the items of the round that were published by calls of one item: their
  // copies, which are bounded as the buffers are. Before the first call.
  using Told = std::function<void(std::vector<Item>)>;
  void on_exposed(Told told) { on_exposed_ = std::move(told); }

  // Error in a forked child: nothing of a ring works there but what it attaches itself.
  Status check_process() const { return attachment_.check_process(); }
  // The error after which nothing is written any more; success while the handle works.
  Status health() const;
  // Whether that was the device's `retry`, so that another handle may work.
  bool has_died_of_what_passes() const;

  Position exposed() const;
  const FormatOnDevice& format() const { return *attachment_.format; }
  std::uint64_t max_item_bytes() const { return format().max_item_bytes(buffer_bytes_); }

 private:
  struct Outcome {
    std::uint64_t position = 0;
    std::optional<Error> error;
  };
  struct Waiter {
    std::size_t batch = 0;
    std::uint64_t end = 0;  // of its last item, before the batch is rounded up
    Exposure exposure = Exposure::push;
    std::optional<Bytes> item;  // where on_exposed() wants it
    OneShot<Outcome> done;
  };
  // What one round of the drain does.
  struct Round {
    Group group;
    std::vector<Waiter> waiters;
    std::uint64_t advance_to = 0;
    std::optional<bool> flag;    // the acknowledgement to record
    bool leave = false;          // record that nobody is attached
    bool has_parts = false;      // that were written, or are, while it gathered
    std::uint64_t consumed = 0;  // record that the consumer is so far
    std::vector<OneShot<Outcome>> pointer_waiters;

    bool has_pointer_work() const { return advance_to != 0 || flag || leave; }
    bool is_empty() const { return waiters.empty() && pointer_waiters.empty(); }
  };
  struct Place {
    OneShot<Outcome> done;
  };
  // What a call asks for. Its items are the caller's, who may go.
  struct Request {
    std::mutex mutex;
    const ItemList* items = nullptr;  // null: it has gone, or they are placed
    std::optional<OneShot<Outcome>> placed;
    Exposure exposure = Exposure::push;
    bool may_wait = false;
  };
  // One attempt to put items into the encoder: they are there, or what has to be done first.
  struct Attempt {
    std::optional<Place> place;
    bool has_room = true;
    std::optional<OneShot<bool>> round_ended;  // wait for it
    std::optional<OneShot<bool>> sealed;       // or, where the buffer is full, for this
    std::uint64_t load = 0;                    // of the encoder's base
  };

  // All with the turn. Errors: retry, suspended, and the final ones.
  Result<Attempt> put(const ItemList& items, Exposure exposure, bool may_wait, bool is_refreshed,
                      const Executor& executor);
  Async<Place> place(std::shared_ptr<Request> request);
  bool must_look(bool may_wait) const;
  Async<void> leave();

  // Placed, or the buffer is full until what it has is written; neither where it takes more than a
  // moment, or others are at it.
  struct AtOnce {
    std::optional<Result<Place>> placed;
    std::optional<OneShot<bool>> sealed;
  };
  AtOnce place_at_once(const ItemList& items, Exposure exposure, bool may_wait,
                       const Executor& executor);
  Async<Place> place_somehow(const ItemList& items, Exposure exposure, bool may_wait,
                             MonotonicTime deadline);
  Async<Place> place_apart(const ItemList& items, Exposure exposure, bool may_wait,
                           MonotonicTime deadline);
  bool others_wait_for_room() const;  // with mutex_
  // The invariants above, where a round is handed to the drain and comes back. With mutex_.
  void check() const;
  Status check_usable() const;  // with mutex_
  Status check_size(const ItemList& items, Encoder::Fit fit) const;
  void drop_kept();  // with mutex_
  // Waits for the round that makes room in the buffer, or reads what the encoder needs.
  Async<void> make_way(Attempt attempt);
  Async<void> refresh_consumed();
  Async<State> look();
  Async<State> look_for_suspension();
  bool is_time_to_look() const;
  Async<Outcome> request(Round& wanted);
  Async<Outcome> answer(OneShot<Outcome> done);

  struct Kick;
  Task<void> drain();
  std::optional<Round> next_round();
  Async<void> perform(Round& round);
  Async<void> write_data(const Round& round);
  // Parts of the next round that are large enough go to the device while the rest gathers.
  void write_parts();
  std::optional<Group> next_part();
  Task<void> write_part(Group part);
  Async<void> write_rest(const Group& rest);
  Async<void> finish_parts();
  // `known`: everything before it is durable.
  Async<void> write_pointer(bool flush_after, std::uint64_t known);
  Async<void> write_final_position(const Round& round, std::uint64_t published);
  void finish(Round& round, const Status& status);
  void die(const Error& error);
  void start_drain(const Executor& executor);  // with mutex_
  void run_drain();
  static void wake_all(std::vector<OneShot<bool>>& waiting);

  Attachment attachment_;
  Told on_exposed_;
  std::size_t buffer_bytes_;
  WorkDesk desk_;   // who puts items into the encoder
  Turn room_turn_;  // who waits for room

  mutable std::mutex mutex_;
  std::unique_ptr<Encoder> encoder_;
  std::uint64_t consumed_;
  std::uint64_t exposed_;
  std::atomic<std::uint64_t> shown_exposed_;  // the same, for who may not take the lock
  std::uint64_t durable_end_;
  std::deque<std::uint64_t> unexposed_;  // ends of what was pushed behind exposed_
  bool kept_ = false;                    // ... by an earlier producer
  bool suspended_;
  Round gathering_;
  bool draining_ = false;  // or about to
  bool drain_runs_ = false;
  const void* kicked_context_ = nullptr;  // where the last kick is; not to be used
  const DirectExecutor drain_executor_;
  const DirectExecutor part_executor_;
  bool has_parts_ = false;  // the round that gathers
  std::size_t parts_under_way_ = 0;
  Status parts_written_;                     // what became of them
  bool drain_waits_for_parts_ = false;       // to seal
  std::optional<OneShot<bool>> parts_gone_;  // the round under way waits for it
  bool round_under_way_ = false;
  std::vector<OneShot<bool>> changed_;                  // wait for the end of a round
  std::vector<std::pair<OneShot<bool>, bool>> sealed_;  // wait for the beginning of one
  std::optional<Error> dead_;
  bool died_of_what_passes_ = false;
  bool leaving_ = false;
  bool left_ = false;  // and the role is free
  std::size_t waiting_for_room_ = 0;
  MonotonicTime room_seen_{};  // one of them, at work
  std::uint64_t rounds_ = 0;
  std::uint64_t items_ = 0;

  // The drain's own, and before it the attaching coroutine's.
  std::uint64_t durable_known_;  // what the pointer on the disk says to be durable, at least
  bool pointer_unflushed_ = false;
  // Set by the calls under the turn.
  // None yet: what a consumer asked for before this handle was there is on the disk alone.
  std::uint64_t consumer_flags_seen_ = ~std::uint64_t{0};
  // When the disk is asked for the flags of a consumer that shares nothing with us.
  MonotonicTime next_look_{};
};

}  // namespace semper::ring::internal
