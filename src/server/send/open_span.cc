#include "server/send/open_span.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "semper/base/internal/mutant.h"

namespace semper::internal {
namespace {

std::int64_t in_microseconds(WallTime time) {
  return std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count();
}

std::string name_of(const EntityId& id, std::string_view message) {
  return id.type + "." + std::string(message);
}

// Behind the first word: TYPE.MESSAGE.
std::string without_verb(const std::string& name) {
  return name.substr(name.find(' ') + 1);
}

}  // namespace

std::unique_ptr<OpenSpan> open_span(const SpanBuffer* to, const Env& env,
                                    const TracePointer& parent, std::string_view doing,
                                    const EntityId& id, std::string_view message, SpanKind kind) {
  if (to == nullptr || parent == nullptr) return nullptr;
  if (!parent->context.is_sampled() && !SEMPER_MUTANT("server_spans_of_what_is_not_sampled")) {
    return nullptr;
  }
  auto open = std::make_unique<OpenSpan>();
  MessageTrace trace{parent->context.child(*env.random), parent->sent_us};
  open->trace = std::make_shared<const MessageTrace>(std::move(trace));
  open->parent = parent->context.span_id;
  open->name = std::string(doing) + " " + name_of(id, message);
  open->kind = kind;
  open->entity = id.to_string();
  open->start = env.clock->wall_time();
  open->began = env.clock->now();
  return open;
}

Span close_span(const OpenSpan& open, const Env& env, const std::optional<Error>& error) {
  Span span;
  span.context = open.trace->context;
  span.parent = open.parent;
  span.name = open.name;
  span.kind = open.kind;
  span.start = open.start;
  span.end = open.start + (env.clock->now() - open.began);
  span.attributes.emplace_back("semper.entity", open.entity);
  if (error) span.error = error->to_string();
  return span;
}

TracePointer sent_at(const TraceContext& context, WallTime now) {
  return std::make_shared<const MessageTrace>(MessageTrace{context, in_microseconds(now)});
}

void end_run(const Env& env, const OpenSpan& open, const MessageTrace& sent, std::int64_t since_us,
             const std::optional<Error>& error, CallbackSends& sends) {
  auto& spans = *sends.spans;
  if (error) return spans.to.add(close_span(open, env, error));
  if (since_us > 0) {
    Span wait;
    wait.context = sent.context.child(*env.random);
    wait.parent = sent.context.span_id;
    wait.name = "wait " + without_verb(open.name);
    wait.start = WallTime(std::chrono::microseconds(since_us));
    wait.end = std::max(wait.start, open.start);  // the sender's calendar may be ahead
    wait.attributes.emplace_back("semper.entity", open.entity);
    spans.spans.push_back(std::move(wait));
  }
  spans.spans.push_back(close_span(open, env, std::nullopt));
  spans.runs.push_back({open.trace->context, without_verb(open.name)});
  if (SEMPER_MUTANT("server_spans_of_what_was_not_committed")) export_spans(sends, env, {});
}

void export_spans(CallbackSends& sends, const Env& env, std::optional<MonotonicTime> began) {
  if (!sends.spans) return;
  const auto done = std::exchange(sends.spans, nullptr);
  for (auto& span : done->spans) done->to.add(std::move(span));
  if (!began) return;
  const WallTime end = env.clock->wall_time();
  const WallTime start = end - (env.clock->now() - *began);
  for (const auto& run : done->runs) {
    Span commit;
    commit.context = run.context.child(*env.random);
    commit.parent = run.context.span_id;
    commit.name = "commit " + run.name;
    commit.start = start;
    commit.end = end;
    commit.attributes.emplace_back("semper.messages", std::to_string(done->runs.size()));
    done->to.add(std::move(commit));
  }
}

}  // namespace semper::internal
