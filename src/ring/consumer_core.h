// The working parts of a Consumer: calls one after another, each doing its own reading and writing.
//
// Invariants: consumed_ <= exposed_; nothing at or behind exposed_ is ever returned; exposed_ grows
// only to what is durable, so that no crash takes back what was returned. consumed_ is told to the
// producer only after the flush that makes it durable. Where the coroutine that writes the pointer is
// destroyed, unsettled_ is set, and the next call writes it again before anything else.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "ring/attachment.h"
#include "ring/reader.h"
#include "ring/turn.h"
#include "semper/ring/consumer.h"

namespace semper::ring::internal {

inline constexpr std::size_t kMaxDamageRemembered = 64;
// Ends of items that were returned, so that taking one back needs no look at the disk.
inline constexpr std::size_t kMaxEndsRemembered = 4096;

class ConsumerCore {
 public:
  ConsumerCore(Attachment attachment);

  Async<void> detach();
  Async<State> state();
  Async<DebugInfo> debug_info();
  Async<void> set_suspend(bool suspend);
  Async<std::vector<Item>> pop_many(std::optional<Position> from, PopLimits limits,
                                    MonotonicTime deadline);
  Async<Position> for_each(std::function<Status(const ItemView&)> visit,
                           std::optional<Position> from);
  Async<void> advance(Position position);
  Async<Position> resync(Position damaged);
  std::vector<Damage> damage() const;
  // As ProducerCore's.
  Status check_process() const { return attachment_.check_process(); }
  Position consumed() const;
  const FormatOnDevice& format() const { return *attachment_.format; }

 private:
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
  // The turn, of a handle that can be used and knows what is on the disk.
  Async<Turn::Holder> enter();
  Async<void> write_pointer();
  void set_consumed(std::uint64_t position);

  Attachment attachment_;
  Turn turn_;
  Reader reader_;
  std::uint64_t exposed_;
  std::optional<Error> dead_;
  bool detached_ = false;
  bool unsettled_ = false;
  bool flag_told_;  // the request that the producer was told of
  std::deque<std::uint64_t> ends_;  // ascending
  std::uint64_t items_ = 0;
  std::uint64_t skipped_bytes_ = 0;

  mutable std::mutex mutex_;  // what is asked without a turn
  std::uint64_t consumed_;
  std::deque<Damage> damage_;
};

}  // namespace semper::ring::internal
