// The chain of calls that a callback's call is part of: who waits for whom, first first.
//
// A callback that waits runs on an executor that is tagged with its CallFrame, and so does what it
// starts there. A Ref that sends asks for the frame, and the message takes the chain along: within
// this process in its Operation, to others in the queue. An entity that waits in the chain cannot
// be waited for by its end; there the call is refused, instead of both waiting for their time to be
// over.
//
// When not: chains that cross (two that wait for each other's entities) are not found, nor are
// those that leave the store: what waits there is nothing of this one's. A frame is forgotten when
// its callback ends: what goes on beside it is waited for by nobody.
//
// Bound: kCallChainMaximum. Threads: any.
#pragma once

#include <atomic>
#include <memory>

#include "semper/env/internal/tagged_executor.h"
#include "semper/env/spans.h"
#include "server/format/records.h"
#include "server/format/target.h"
#include "server/send/open_span.h"

namespace semper::internal {

class CallFrame final : public ExecutorTag {
 public:
  // In its transaction an entity does nothing else; under the lock, only what comes through the
  // queue waits.
  enum class Waits : std::uint8_t { in_transaction, under_lock };

  CallFrame(std::shared_ptr<const Target> target, Waits how, ChainPointer chain,
            std::shared_ptr<const MessageTrace> trace, SpanBuffer* spans)
      : target_(std::move(target)),
        how_(how),
        chain_(std::move(chain)),
        trace_(std::move(trace)),
        spans_(spans) {}

  const Target& target() const { return *target_; }
  void end();
  bool is_over() const { return is_over_.load(); }
  // Which what the callback sends belongs to; null: none.
  const std::shared_ptr<const MessageTrace>& trace() const { return trace_; }
  // What its sends belong to, where they are to have spans.
  Tracing tracing() const { return {trace_->context, spans_}; }
  bool has_spans() const;
  // Of what it has sent. Not once it has ended: its host may be gone by then.
  void record(Span span) const;
  // With this one at its end.
  CallChain links() const;

 private:
  const std::shared_ptr<const Target> target_;
  const Waits how_;
  const ChainPointer chain_;  // of the message that is handled; null: nobody waits for it
  const std::shared_ptr<const MessageTrace> trace_;
  SpanBuffer* const spans_;  // null: none are recorded
  mutable std::atomic<int> recording_ = 0;
  std::atomic<bool> is_over_ = false;
};

// How something is sent that the sender waits for.
enum class Sent : std::uint8_t { call, cast, priority, together };

// What is sent from this executor takes along; null: it is not a callback's. Errors: unsupported
// (it would wait for itself), exhausted.
Result<ChainPointer> chain_of(const Executor& executor, const Target& to, Sent how);

// The trace of the callback that runs on this executor; null: none.
std::shared_ptr<const MessageTrace> trace_of(const Executor& executor);
// The frame of that callback, where what it sends to this entity is to have a span; else null.
std::shared_ptr<const CallFrame> recording_of(const Executor& executor, const Target& to);

}  // namespace semper::internal
