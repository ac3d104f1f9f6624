#include "semper/server/context.h"

#include <utility>

#include "semper/base/internal/mutant.h"
#include "server/format/enqueue.h"
#include "server/format/idempotency.h"
#include "server/format/orders.h"
#include "server/format/replies.h"
#include "server/format/target.h"
#include "server/format/timers.h"
#include "server/send/open_span.h"
#include "server/send/send_counts.h"

namespace semper {

void Context::reply_error(const ReplyToken& to, const Error& error) {
  answer(to, internal::encode_reply_error(error));
}

void Context::send_reply(const ReplyToken& to, BytesView encoded) {
  answer(to, internal::encode_reply_within(encoded, transaction().limits()));
}

// Who waits for the answer to a call with an idempotency key is looked up before the commit.
void Context::answer(const ReplyToken& to, Bytes encoded) {
  if (to.is_empty()) return;
  if (internal::is_key_token(to)) {
    fields_.sends->keyed_answers.push_back({to, std::move(encoded)});
  } else {
    internal::write_reply(transaction(), tenant().prefix(), {to, std::move(encoded)});
  }
}

namespace {

Status check_tenant(const Tenant& own, const Tenant& other) {
  if (!other.store()) return fail(other.store().error());
  if (internal::is_one_store(*own.store(), *other.store())) return {};
  return fail(ErrorKind::invalid_argument,
              "it is in another store, " + other.store()->url() + ", than this entity, " +
                  own.store()->url() +
                  ", and one commit cannot write to both; send it from an action, or make the Ref "
                  "from Context::tenant()");
}

}  // namespace

namespace {

// Of something that a traced callback sends; with a span of its own where they are recorded.
internal::TracePointer trace_of_send(const internal::ContextFields& fields, const EntityId& to,
                                     std::string_view message) {
  const auto& sends = *fields.sends;
  SpanBuffer* const buffer = sends.spans ? &sends.spans->to : nullptr;
  const auto span = internal::open_span(buffer, fields.env, fields.trace, "send", to, message,
                                        SpanKind::producer);
  if (!span) return internal::sent_at(fields.trace->context, fields.now);
  sends.spans->spans.push_back(internal::close_span(*span, fields.env, std::nullopt));
  return internal::sent_at(span->trace->context, fields.now);
}

}  // namespace

const TraceContext* Context::trace() const {
  return fields_.trace ? &fields_.trace->context : nullptr;
}

const TraceContext* LockedContext::trace() const {
  return fields_.trace ? &fields_.trace->context : nullptr;
}

void Context::send_cast(const Tenant& to_tenant, const EntityId& to, std::string_view message,
                        BytesView payload) {
  if (fields_.sends->refused) return;
  RawMessage queued{std::string(message), Bytes(payload)};
  if (fields_.trace && !SEMPER_MUTANT("server_trace_not_carried_on")) {
    queued.trace = trace_of_send(fields_, to, message);
  }
  Status possible = check_tenant(tenant(), to_tenant);
  if (possible) possible = to.validate();
  if (possible) possible = internal::check_message_size(queued, {}, transaction().limits());
  if (possible && fields_.sends->segments == internal::kSegmentsPerTransaction) {
    possible = fail(ErrorKind::exhausted,
                    Limit{"kSegmentsPerTransaction", internal::kSegmentsPerTransaction},
                    "one transaction sends at most " +
                        std::to_string(internal::kSegmentsPerTransaction) + " messages");
  }
  if (!possible) {
    fields_.sends->refused = possible.error().in("a message to " + to.to_string());
    return;
  }
  const Bytes& prefix = to_tenant.prefix();
  const internal::EntityKeys keys(prefix, to);
  if (SEMPER_MUTANT("server_sends_of_one_commit_share_a_key")) fields_.sends->segments = 0;
  internal::Enqueuer enqueuer(transaction(), fields_.sends->segments++);
  enqueuer.to(keys);
  enqueuer.add(Event::cast, queued);
  enqueuer.finish();
  auto& sends = *fields_.sends;
  if (to == *fields_.id && prefix == tenant().prefix()) {
    ++sends.to_itself;
    return;
  }
  const bool is_due = sends.counts != nullptr && sends.counts->add(keys.pushed());
  const bool is_noted = !sends.to_check.empty() && sends.to_check.back().id == to &&
                        sends.to_check.back().tenant_prefix == prefix;
  if (is_due && !is_noted) sends.to_check.push_back({prefix, to});
}

void Context::set_timer_after(std::string_view name, Duration delay, RawMessage message) {
  request_timer(name, internal::timer_after(delay, std::move(message), transaction().limits()));
}
void Context::set_timer_at(std::string_view name, WallTime when, RawMessage message) {
  request_timer(name, internal::timer_at(when, std::move(message), transaction().limits()));
}
void Context::set_timer_every(std::string_view name, const EveryOptions& options,
                              RawMessage message) {
  request_timer(name, internal::timer_every(options, std::move(message), transaction().limits()));
}

void Context::set_timer_cron(std::string_view name, const CronOptions& options,
                             RawMessage message) {
  auto spec = internal::timer_cron(options, std::move(message), transaction().limits());
  std::int64_t first_ms = 0;
  if (spec) {
    const auto first = internal::first_cron_ms(*spec, internal::to_timer_ms(now()));
    if (first) {
      first_ms = *first;
    } else {
      spec = fail(first.error());
    }
  }
  request_timer(name, std::move(spec), first_ms);
}

void Context::request_timer(std::string_view name, Result<internal::TimerSpec> spec,
                            std::int64_t cron_ms) {
  auto& sends = *fields_.sends;
  if (sends.refused) return;
  Status possible = internal::check_timer_name(name);
  if (possible && name == internal::kExpiryTimer) {
    possible = fail(ErrorKind::invalid_argument, "the name is that of a timer of the host's own");
  }
  if (possible && !spec) possible = fail(spec.error());
  if (!possible) {
    sends.refused = possible.error().in("timer " + to_printable(name, 64));
    return;
  }
  sends.timer_bytes += name.size() + spec->message.payload.size() + spec->schedule.size();
  // One that repeats would go on for ever, and its trace with it.
  if (fields_.trace && !spec->repeats()) {
    spec->message.trace = internal::sent_at(fields_.trace->context, fields_.now);
  }
  internal::TimerRequest request;
  request.name = name;
  if (spec->jitter_ms > 0) request.seed = random().next();
  request.spec = std::move(*spec);
  request.cron_ms = cron_ms;
  sends.timers.push_back(std::move(request));
}

void Context::cancel_timer(std::string_view name) {
  request_timer(name, internal::TimerRequest::What::cancel);
}
void Context::pause_timer(std::string_view name) {
  request_timer(name, internal::TimerRequest::What::pause);
}
void Context::resume_timer(std::string_view name) {
  request_timer(name, internal::TimerRequest::What::resume);
}

void Context::request_timer(std::string_view name, internal::TimerRequest::What what) {
  if (!internal::check_timer_name(name)) return;  // there is none of such a name
  fields_.sends->timer_bytes += name.size();
  internal::TimerRequest request;
  request.what = what;
  request.name = name;
  fields_.sends->timers.push_back(std::move(request));
}

Async<std::optional<Bytes>> Context::read_state(Tenant of_tenant, EntityId of) const {
  SEMPER_CO_TRY_STATUS(check_tenant(tenant(), of_tenant));
  SEMPER_CO_TRY_STATUS(of.validate());
  const internal::EntityKeys keys(of_tenant.prefix(), of);
  const auto mode = SEMPER_MUTANT("server_state_of_another_read_without_a_conflict")
                        ? ReadMode::snapshot
                        : ReadMode::serializable;
  SEMPER_CO_TRY(auto standing, co_await internal::read_standing(transaction(), keys, mode));
  auto& header = standing.header;
  if (!header.has_state) co_return std::nullopt;
  if (header.chunks == 0) co_return std::move(header.state);
  // Whoever writes them writes the header, too.
  RangeOptions options;
  options.mode = ReadMode::snapshot;
  Bytes state;
  for (KeyRange rest = keys.chunks();;) {
    SEMPER_CO_TRY(const auto page, co_await transaction().get_range(rest, options));
    for (const auto& row : page.rows) state += row.value;
    if (!page.more || page.rows.empty()) co_return std::move(state);
    rest.begin = key_after(page.rows.back().key);
  }
}

void LockedContext::send_cast(Tenant tenant, EntityId to, std::string_view message, Bytes payload) {
  fields_.sends->push_back([tenant = std::move(tenant), to = std::move(to),
                            name = std::string(message), payload = std::move(payload)](
                               Context& context) { context.send_cast(tenant, to, name, payload); });
}

void LockedContext::send_reply(const ReplyToken& to, Bytes encoded) {
  fields_.sends->push_back(
      [to, encoded = std::move(encoded)](Context& context) { context.send_reply(to, encoded); });
}

void LockedContext::reply_error(const ReplyToken& to, const Error& error) {
  fields_.sends->push_back([to, error](Context& context) { context.reply_error(to, error); });
}

void LockedContext::with_result(std::function<void(Transaction&)> write) {
  fields_.sends->push_back(
      [write = std::move(write)](Context& context) { write(context.transaction()); });
}

}  // namespace semper
