// What the callbacks of one attempt of a Batch have asked for.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "batch.h"
#include "locked_task.h"
#include "replies.h"

namespace semper::internal {

// What a reply's key takes besides the session, at most, once for the write and once for the conflict.
inline constexpr std::size_t kReplyKeyBytes = 64;

struct Batch::Effects {
  bool was_known = false;  // the attempt began without reading
  QueuePlace head;         // the first message of the queue, where there is one
  bool head_buried = false;  // that one was set aside instead of run
  Duration ran_for{};        // in callbacks
  std::size_t executed = 0;
  std::size_t popped = 0;
  std::size_t finished_segments = 0;
  std::uint32_t head_offset = 0;
  bool drained = false;  // nothing is left of the queue that was read
  bool vacated = false;  // the index entry is taken away
  bool cleared = false;  // so is the announcement

  std::size_t works_run = 0;
  std::vector<Result<Bytes>> answers;  // of the works run
  bool reroute = false;                // the work after those must go through the queue

  std::vector<OutgoingReply> replies;
  std::vector<std::vector<Action>> actions;
  std::vector<DeadLetterRecord> dead_letters;
  // Calls that no callback will ever take. Whoever hears it in a reply has the message; the others
  // become dead letters.
  struct Refusal {
    std::size_t reply;  // place in `replies`
    DeadLetterRecord letter;
  };
  std::vector<Refusal> refusals;
  std::optional<std::string> stop_reason;
  std::optional<LockedTask::Held> lock;
  // Messages and works that ran, with the one that asked for the lock.
  std::size_t ran() const { return executed + (lock ? 1 : 0); }
  std::size_t reply_bytes = 0;  // of `replies`, with their keys
  Context::Sends sends;

  void reply(const ReplyToken& to, Bytes encoded) {
    reply_bytes += to.session.size() + encoded.size() + kReplyKeyBytes;
    replies.push_back({to, std::move(encoded)});
  }

  // The queue is empty when this has committed.
  bool empties_queue() const { return drained && sends.to_itself == 0; }

  std::optional<Error> failure;  // of the message after the executed ones
  bool failure_is_local = false;
};

}  // namespace semper::internal
