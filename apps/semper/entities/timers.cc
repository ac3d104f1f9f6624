#include "entities/timers.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "common/document.h"
#include "common/text.h"
#include "entities/look.h"
#include "semper/server/list_timers.h"

namespace semper::cli {
namespace {

using Purpose = Invocation::Purpose;

// Timers read in one transaction.
constexpr std::size_t kTimersPerPage = 1000;

std::string bounds_text(std::uint64_t max_count, const std::optional<WallTime>& until) {
  std::string text;
  if (max_count > 0) text += ", " + std::to_string(max_count) + " times";
  if (until) text += ", until " + shown_time(*until);
  return text;
}

std::string schedule_text(const TimerView& timer) {
  if (timer.cron) {
    const auto& cron = *timer.cron;
    return cron.schedule + " " + cron.zone + bounds_text(cron.max_count, cron.until);
  }
  if (!timer.every) return timer.kind == TimerView::Kind::at ? "at a time" : "after a delay";
  const auto& every = *timer.every;
  const bool is_delay = every.pace == EveryOptions::Pace::fixed_delay;
  std::string text = std::string(is_delay ? "after each " : "every ") + shown_latency(every.period);
  return text + bounds_text(every.max_count, every.until);
}

const char* missed_name(EveryOptions::Missed missed) {
  switch (missed) {
    case EveryOptions::Missed::all:
      return "all";
    case EveryOptions::Missed::skip:
      return "skip";
    default:
      return "coalesce";
  }
}

Bytes every_item(const EveryOptions& every) {
  const bool is_delay = every.pace == EveryOptions::Pace::fixed_delay;
  return Fields()
      .add("period_seconds", seconds_item(every.period))
      .add("pace", text_item(is_delay ? "fixed_delay" : "fixed_rate"))
      .add("missed", text_item(missed_name(every.missed)))
      .add("first", every.first ? time_item(*every.first) : null_item())
      .add("until", every.until ? time_item(*every.until) : null_item())
      .add("max_count", number_item(every.max_count))
      .add("jitter_seconds", seconds_item(every.jitter))
      .item();
}

Bytes cron_item(const CronOptions& cron) {
  return Fields()
      .add("schedule", text_item(cron.schedule))
      .add("zone", text_item(cron.zone))
      .add("missed", text_item(missed_name(cron.missed)))
      .add("until", cron.until ? time_item(*cron.until) : null_item())
      .add("max_count", number_item(cron.max_count))
      .add("jitter_seconds", seconds_item(cron.jitter))
      .item();
}

// A host's own, by which an entity expires (kExpireAfter); no user's has this name.
bool is_expiry(const TimerView& timer) {
  return timer.name == "semper.expiry";
}

Bytes timer_item(const TimerView& timer) {
  return Fields()
      .add("entity", text_item(timer.entity.to_string()))
      .add("name", text_item(timer.name))
      .add("due", timer.due ? time_item(*timer.due) : null_item())
      .add("every", timer.every ? every_item(*timer.every) : null_item())
      .add("cron", timer.cron ? cron_item(*timer.cron) : null_item())
      .add("paused", flag_item(timer.is_paused))
      .add("expiry", flag_item(is_expiry(timer)))
      .add("ticks", number_item(timer.ticks))
      .add("message", text_item(timer.message.name))
      .add("content", stored_item(timer.message.payload))
      .item();
}

// What was asked for, a page at a time.
struct Wanted {
  std::optional<EntityId> entity;  // else those of the type
  std::string type;
  std::optional<WallTime> until;
};

Async<std::vector<TimerView>> read_page(const Tenant& tenant, const Wanted& wanted,
                                        const std::optional<TimerView>& last, std::size_t limit) {
  if (wanted.entity) {
    TimerListOptions options;
    options.limit = limit;
    if (last) options.after = last->name;
    co_return co_await list_timers(tenant, *wanted.entity, options);
  }
  DueListOptions options;
  options.limit = limit;
  options.until = wanted.until;
  if (last && last->due) {
    options.after = DueListOptions::Place{*last->due, last->entity.id, last->name};
  }
  co_return co_await list_due(tenant, wanted.type, options);
}

Async<std::vector<TimerView>> read_all(const Tenant& tenant, const Wanted& wanted,
                                       std::size_t limit) {
  std::vector<TimerView> timers;
  std::optional<TimerView> last;
  while (timers.size() < limit) {
    const std::size_t most = std::min(limit - timers.size(), kTimersPerPage);
    SEMPER_CO_TRY(auto page, co_await read_page(tenant, wanted, last, most));
    const bool is_last = page.size() < most;
    if (!page.empty()) last = page.back();
    for (auto& timer : page) {
      if (wanted.until && (!timer.due || *timer.due > *wanted.until)) continue;
      timers.push_back(std::move(timer));
    }
    if (is_last) break;
  }
  co_return timers;
}

}  // namespace

Async<void> show_timers(Invocation& invocation, TimersArguments arguments) {
  Wanted wanted;
  wanted.type = arguments.of;
  if (arguments.of.find('/') != std::string::npos) {
    SEMPER_CO_TRY(wanted.entity, parse_entity(arguments.of));
    wanted.type = wanted.entity->type;
  }
  SEMPER_CO_TRY(const Tenant tenant, co_await invocation.open_tenant(Purpose::read));
  const WallTime now = tenant.store()->env().clock->wall_time();
  if (!arguments.within.empty()) {
    SEMPER_CO_TRY(const Duration span, parse_span_option("--within", arguments.within));
    wanted.until = span >= WallTime::max() - now ? WallTime::max() : now + span;
  }
  const std::size_t limit = arguments.limit == 0 ? ~std::size_t{0} : arguments.limit;
  SEMPER_CO_TRY(const auto timers, co_await read_all(tenant, wanted, limit));
  std::string why;
  if (timers.empty()) why = co_await because_of_type(tenant, wanted.type);
  List document;
  std::vector<std::vector<std::string>> rows = {
      {"DUE", "IN", "ENTITY", "TIMER", "SCHEDULE", "TICKS", "MESSAGE", "CONTENT"}};
  for (const auto& timer : timers) {
    document.add(timer_item(timer));
    std::string in = timer.is_paused ? "paused" : "in its queue";
    if (timer.due) in = *timer.due > now ? shown_span(*timer.due - now) : "now";
    const std::string due = timer.due ? shown_time(*timer.due) : "-";
    if (is_expiry(timer)) {
      rows.push_back({due, in, shown(timer.entity.to_string()), "(expires)",
                      "after a time without messages", "-", "-", "-"});
      continue;
    }
    rows.push_back({due, in, shown(timer.entity.to_string()), shown(timer.name),
                    schedule_text(timer), std::to_string(timer.ticks), shown(timer.message.name),
                    shown_value(timer.message.payload)});
  }
  if (timers.empty() && (!invocation.json() || !why.empty())) {
    const bool has_end = wanted.until && wanted.until != WallTime::max();
    invocation.note("no timer of " + shown(arguments.of) +
                    (has_end ? " is due within " + arguments.within : " waits for its time") + why);
  }
  if (invocation.json()) co_return invocation.print_document(document.item());
  if (!timers.empty()) invocation.print(table(rows));
  if (timers.size() == limit) invocation.note("there may be more; see all with --limit 0");
  co_return Status{};
}

namespace {

using TimerAct = Async<void> (*)(Tenant, EntityId, std::string);

Async<void> act_on_timer(Invocation& invocation, TimerArguments arguments, TimerAct act,
                         const char* done) {
  SEMPER_CO_TRY(const auto id, parse_entity(arguments.entity));
  SEMPER_CO_TRY(const Tenant tenant, co_await invocation.open_tenant(Purpose::change));
  const auto acted = co_await act(tenant, id, arguments.name);
  if (!acted) {
    std::string list = "timers " + shown(id.to_string());
    co_return fail(co_await explained_part(tenant, id, acted.error(), std::move(list)));
  }
  invocation.mark_done();
  if (invocation.json()) {
    co_return invocation.print_document(Fields()
                                            .add("entity", text_item(id.to_string()))
                                            .add(done, text_item(arguments.name))
                                            .item());
  }
  invocation.say(shown(id.to_string()) + ": timer " + shown(arguments.name) + " is " + done);
  co_return Status{};
}

}  // namespace

Async<void> cancel_one_timer(Invocation& invocation, TimerArguments arguments) {
  return act_on_timer(invocation, std::move(arguments), cancel_timer, "cancelled");
}
Async<void> pause_one_timer(Invocation& invocation, TimerArguments arguments) {
  return act_on_timer(invocation, std::move(arguments), pause_timer, "paused");
}
Async<void> resume_one_timer(Invocation& invocation, TimerArguments arguments) {
  return act_on_timer(invocation, std::move(arguments), resume_timer, "resumed");
}
Async<void> trigger_one_timer(Invocation& invocation, TimerArguments arguments) {
  return act_on_timer(invocation, std::move(arguments), trigger_timer, "triggered");
}

}  // namespace semper::cli
