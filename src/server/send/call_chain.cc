#include "server/send/call_chain.h"

#include <algorithm>
#include <string>
#include <thread>
#include <utility>

#include "semper/base/internal/mutant.h"
#include "semper/server/call_options.h"

namespace semper::internal {
namespace {

bool is_of(const CallLink& link, const Target& target) {
  return link.id == target.id && link.tenant_prefix == target.tenant.prefix();
}

// Whether what is sent so waits for an entity that waits itself.
bool waits_for(const CallLink& link, Sent how) {
  if (!link.is_locked) return true;
  return how == Sent::call || how == Sent::together;
}

const char* word_of(Sent how) {
  switch (how) {
    case Sent::call:
      return "the call";
    case Sent::cast:
      return "the cast";
    case Sent::priority:
      return "the priority message";
    default:
      return "atomically";
  }
}

std::string in_words(const CallChain& chain, std::size_t from, const Target& to) {
  std::string words;
  for (std::size_t i = from; i < chain.links.size(); ++i) {
    words += chain.links[i].id.to_string() + " -> ";
  }
  return words + to.id.to_string();
}

Error waits_for_itself(const CallChain& chain, const Target& to, Sent how) {
  return Error(ErrorKind::unsupported,
               in_words(chain, 0, to) + ": " + word_of(how) + " would wait for itself, because " +
                   to.id.to_string() +
                   " waits for the end of this chain of calls; send a message with Context::cast "
                   "instead, or answer with what it needs");
}

}  // namespace

CallChain CallFrame::links() const {
  CallChain chain;
  if (chain_) chain.links = chain_->links;
  chain.links.push_back(
      {target_->tenant.prefix(), target_->id, how_ == CallFrame::Waits::under_lock});
  return chain;
}

void CallFrame::end() {
  is_over_.store(true);
  while (recording_.load() != 0) std::this_thread::yield();
}

bool CallFrame::has_spans() const {
  return spans_ != nullptr && trace_ && trace_->context.is_sampled();
}

void CallFrame::record(Span span) const {
  recording_.fetch_add(1);
  if (!is_over()) spans_->add(std::move(span));
  recording_.fetch_sub(1);
}

Result<ChainPointer> chain_of(const Executor& executor, const Target& to, Sent how) {
  const TagPointer tag = tag_of(executor);
  const auto* const frame = dynamic_cast<const CallFrame*>(tag.get());
  if (frame == nullptr || frame->is_over() || SEMPER_MUTANT("server_call_chain_not_sent")) {
    return ChainPointer();
  }
  if (!is_one_store(frame->target().store(), to.store())) return ChainPointer();
  auto chain = std::make_shared<CallChain>(frame->links());
  const auto waits = [&](const CallLink& link) { return is_of(link, to) && waits_for(link, how); };
  if (std::any_of(chain->links.begin(), chain->links.end(), waits)) {
    return fail(waits_for_itself(*chain, to, how));
  }
  if (chain->links.size() > kCallChainMaximum) {
    return fail(ErrorKind::exhausted, Limit{"kCallChainMaximum", kCallChainMaximum},
                "... -> " + in_words(*chain, chain->links.size() - 3, to) + ": more than " +
                    std::to_string(kCallChainMaximum) +
                    " entities would wait for each other; answer with what the caller needs for "
                    "the next call, or send messages with Context::cast");
  }
  return ChainPointer(std::move(chain));
}

std::shared_ptr<const MessageTrace> trace_of(const Executor& executor) {
  const TagPointer tag = tag_of(executor);
  const auto* const frame = dynamic_cast<const CallFrame*>(tag.get());
  if (frame == nullptr || frame->is_over() || SEMPER_MUTANT("server_trace_ends_at_a_call")) {
    return nullptr;
  }
  return frame->trace();
}

std::shared_ptr<const CallFrame> recording_of(const Executor& executor, const Target& to) {
  auto frame = std::dynamic_pointer_cast<const CallFrame>(tag_of(executor));
  if (frame == nullptr || frame->is_over() || !frame->has_spans()) return nullptr;
  if (!is_one_store(frame->target().store(), to.store())) return nullptr;
  if (SEMPER_MUTANT("server_no_span_of_a_callbacks_call")) return nullptr;
  return frame;
}

}  // namespace semper::internal
