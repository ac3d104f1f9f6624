// The working parts of a Consumer: calls one after another, each doing its own reading and writing,
// on no loop of its caller's (apart.h). What was read before is handed out without that.
//
// Invariants: consumed_ <= exposed_; nothing at or behind exposed_ is ever returned; exposed_ grows
// only to what is durable, so that no crash takes back what was returned. consumed_ is told to the
// producer only after the flush that makes it durable. Where the coroutine that writes the pointer
// is destroyed, unsettled_ is set, and the next call writes it again before anything else.
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
#include "ring/reader.h"
#include "semper/ring/item.h"

namespace semper::ring::internal {

inline constexpr std::size_t kMaxDamageRemembered = 64;
// Ends of items that were returned, so that taking one back needs no look at the disk.
inline constexpr std::size_t kMaxEndsRemembered = 4096;

class ConsumerCore : public std::enable_shared_from_this<ConsumerCore> {
 public:
  using Visitor = std::function<Status(const ItemView&)>;

  ConsumerCore(Attachment attachment);

  // With the turn: see in_turn().
  Async<void> detach();
  Async<State> state();
  Async<DebugInfo> debug_info();
  Async<void> set_suspend(bool suspend);
  Async<void> advance(Position position);
  // The same up to the end of an item which the producer, of this process, has told to be exposed:
  // it need not be looked for.
  Async<void> advance_as_told(Position position);
  Async<Position> resync(Position damaged);

  template <class T>
  Async<T> in_turn(std::function<Async<T>()> work) {
    return run_in_turn<T>(desk_, attachment_.clock(), std::move(work));
  }

  Async<std::vector<Item>> pop_many(std::optional<Position> from, PopLimits limits,
                                    MonotonicTime deadline);
  // The same, and none where there is none: a `retry` is the device's.
  Async<std::vector<Item>> take_now(PopLimits limits);
  // As ProducerCore's.
  bool has_died_of_what_passes() const { return died_of_what_passes_.load(); }
  Async<Position> for_each(Visitor visit, std::optional<Position> from);
  std::vector<Damage> damage() const;
  // As ProducerCore's.
  Status check_process() const { return attachment_.check_process(); }
  Position consumed() const;
  const FormatOnDevice& format() const { return *attachment_.format; }

 private:
  struct Visited {
    std::uint64_t position = 0;  // of the item, or where there are no more
    std::optional<Item> item;
  };

  // The invariants above, where the turn is handed on, and after each write. With the turn.
  void check() const;
  Status check_usable() const;
  Async<std::uint64_t> begin_at(std::optional<Position> from);
  // Whether an item, or what is exposed, ends there; reads what it does not remember. Precondition:
  // from consumed_ to exposed_.
  Async<bool> is_end(std::uint64_t position);
  void remember_end(std::uint64_t position);
  // Looks whether more is exposed; reads the device only where nobody has said so.
  Async<void> refresh_exposed();
  bool accept_exposed(std::uint64_t position);
  Async<void> flush_device();
  // The record at `position`, which may be moved over damage; nothing where the end is reached.
  Async<std::optional<Parsed>> next(std::uint64_t& position);
  Async<std::vector<Item>> take_items(std::uint64_t position, PopLimits limits);
  std::vector<Item> take_at_hand(PopLimits limits);
  void add_item(std::vector<Item>& items, std::uint64_t position, const Parsed& parsed);
  void add_at_hand(std::vector<Item>& items, std::uint64_t& position, std::size_t& bytes,
                   PopLimits limits);
  Async<std::vector<Item>> take_from(std::optional<Position> from, PopLimits limits);
  Async<std::vector<Item>> take_apart(std::optional<Position> from, PopLimits limits,
                                      MonotonicTime deadline);
  void die(const Error& why);
  Async<Position> begin_to_visit(std::optional<Position> from);
  Status visit_at_hand(const Visitor& visit, std::uint64_t& position);
  Async<Visited> take_to_visit(std::uint64_t position);
  // What a handle needs that can be used: it knows what is on the disk.
  Async<void> settle();
  Async<void> write_pointer();
  Async<void> remove_before(std::uint64_t position);
  void set_consumed(std::uint64_t position);

  Attachment attachment_;
  WorkDesk desk_;
  Reader reader_;
  std::uint64_t exposed_;
  std::optional<Error> dead_;
  std::atomic<bool> died_of_what_passes_ = false;
  bool detached_ = false;
  bool unsettled_ = false;
  bool flag_told_;  // the request that the producer was told of
  std::deque<std::uint64_t> ends_;  // ascending
  std::uint64_t items_ = 0;
  std::uint64_t skipped_bytes_ = 0;

  std::uint64_t consumed_;
  std::atomic<std::uint64_t> shown_consumed_;  // the same, asked without a turn
  mutable std::mutex mutex_;
  std::deque<Damage> damage_;
};

}  // namespace semper::ring::internal
