#include "entities/explain.h"

#include <algorithm>
#include <utility>

#include "common/document.h"
#include "common/text.h"
#include "entities/chain.h"
#include "entities/limits.h"
#include "entities/look.h"

namespace semper::cli {
namespace {

std::string count_of(std::uint64_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

std::string waiting(const Seen& seen) {
  const std::uint64_t count = seen.view->queue_length;
  return count_of(count, "message") + (count == 1 ? " waits" : " wait");
}

std::string first_message(const Seen& seen) {
  if (!seen.first) return "its first message";
  return "its first message, the " + std::string(seen.first->is_call ? "call " : "cast ") +
         shown(seen.first->message.name) + ",";
}

std::string listed_chain(const std::vector<EntityId>& links) {
  std::string text;
  for (const auto& id : links) text += (text.empty() ? "" : " -> ") + shown(id.to_string());
  return text;
}

// Who waits for its first message, and whom it waits for itself.
std::string chain_words(const Seen& seen) {
  std::string text;
  if (!seen.chain.empty()) {
    text += "; its callback waits for the end of a chain of calls, " + listed_chain(seen.chain) +
            " (`semper explain` the last one)";
  }
  if (seen.first && !seen.first->callers.empty()) {
    text += "; " + listed_chain(seen.first->callers) +
            (seen.first->callers.size() == 1 ? " waits" : " wait") + " for the reply";
  }
  return text;
}

// The hosts that serve the entity's type.
struct Serving {
  std::vector<std::string> alive;
  std::vector<std::string> silent;
};
Serving serving(const Seen& seen) {
  Serving result;
  for (const auto& [view, is_silent] : seen.hosts) {
    if (!serves(view, seen.id.type)) continue;
    (is_silent ? result.silent : result.alive).push_back(shown(view.name));
  }
  return result;
}

std::string listed_names(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

// Where nobody alive serves the type, whatever else is wrong: what to do about that.
std::string unserved(const Seen& seen, const Serving& hosts) {
  if (!hosts.silent.empty()) {
    return "no host that is alive serves " + shown(seen.id.type) + ": " +
           listed_names(hosts.silent) + " did not renew " +
           (hosts.silent.size() == 1 ? "its" : "their") +
           " registration for a whole lease (stopped, cut off from the store, or dead); start one";
  }
  return "no host serves " + shown(seen.id.type) +
         "; start a program that does (`semper hosts` lists those there are)";
}

Verdict locked(const Seen& seen, const Serving& hosts) {
  const LockView& lock = *seen.view->lock;
  const auto is_owner = [&](const WatchedHost& host) { return host.view.name == lock.owner; };
  const auto owner = std::find_if(seen.hosts.begin(), seen.hosts.end(), is_owner);
  std::string text = first_message(seen) + " holds the lock: " + shown(lock.owner) +
                     " has run its handle_locked for " + shown_span(seen.now - lock.acquired) +
                     ", since " + shown_time(lock.acquired);
  if (owner == seen.hosts.end()) {
    text += "; that host is not registered any more";
  } else if (owner->is_silent) {
    text += "; that host is silent";
  }
  if (hosts.alive.empty()) {
    text += ", and to take it over " + unserved(seen, hosts);
  } else if (owner == seen.hosts.end() || owner->is_silent) {
    text += ", and another one takes the lock over when its lease has ended";
  } else {
    text += "; what waits goes on when it returns, or is taken from it by `semper unlock`";
  }
  return {"locked", text};
}

Verdict failing(const Seen& seen) {
  const FailingView& failing = *seen.view->failing;
  const bool is_due = failing.next_attempt <= seen.now;
  return {"failing", waiting(seen) + ": " + first_message(seen) + " failed " +
                         count_of(failing.attempts, "time") + ", the last one on " +
                         shown(failing.host) + " with \"" + shown(failing.reason) +
                         "\", and is run again " +
                         (is_due ? "at the next look" : "at " + shown_time(failing.next_attempt))};
}

// As its hosts say them.
const LimitsView* limits_in(const Seen& seen) {
  for (const auto& [view, is_silent] : seen.hosts) {
    for (const auto& type : view.speaks) {
      if (type.type == seen.id.type && type.limits) return &*type.limits;
    }
  }
  return nullptr;
}

// The constants by which it may wait.
std::string names_of_limits(const LimitsView* limits, bool is_rate) {
  const std::string of_key = is_rate ? "kRateLimit" : "kConcurrencyLimit";
  const std::string of_type = is_rate ? "kTypeRateLimit" : "kTypeConcurrencyLimit";
  const bool has_type =
      limits != nullptr && (is_rate ? limits->type_rate.messages > 0 : limits->type_running > 0);
  if (!has_type) return of_key;
  const bool has_key = is_rate ? limits->rate.messages > 0 : limits->running > 0;
  return has_key ? of_key + " or " + of_type : of_type;
}

std::string limits_words(const Seen& seen) {
  const LimitsView* const limits = limits_in(seen);
  return limits == nullptr ? "" : ": " + limits_text(*limits);
}

Verdict limited(const Seen& seen) {
  const LimitedView& limit = *seen.view->limited;
  const std::string which = limit.key.empty()
                                ? "of " + shown(seen.id.type)
                                : "of " + shown(seen.id.type) + " for \"" + shown(limit.key) + "\"";
  const std::string names = names_of_limits(limits_in(seen), limit.is_rate);
  return {"limited",
          waiting(seen) + ", since " + shown_time(limit.since) + " for " +
              (limit.is_rate ? "a token of the rate " + which + " (" + names + ")"
                             : "a place among the handle_locked " + which + ", of which as many " +
                                   "run as its " + names + " allows") +
              limits_words(seen) + "; it goes on by itself"};
}

}  // namespace

namespace {

Verdict verdict_alone(const Seen& seen) {
  if (!seen.view) {
    return {"absent",
            "there is no " + shown(seen.id.to_string()) +
                (seen.no_such_type.empty() ? ": nothing was ever sent to it, or it was killed"
                                           : seen.no_such_type)};
  }
  const EntityView& view = *seen.view;
  const Serving hosts = serving(seen);
  if (view.lock) return locked(seen, hosts);
  if (view.queue_length == 0 && !seen.chain.empty()) {
    return {"chain", "nothing waits for " + shown(seen.id.to_string())};
  }
  if (view.queue_length == 0) {
    return {"idle",
            "nothing waits for " + shown(seen.id.to_string()) +
                (view.dead_letters == 0
                     ? ""
                     : ", but " + count_of(view.dead_letters, "message") +
                           " of its own failed and " + (view.dead_letters == 1 ? "was" : "were") +
                           " set aside (`semper dead` lists them)")};
  }
  if (hosts.alive.empty()) {
    return {hosts.silent.empty() ? "unserved" : "silent",
            waiting(seen) + ", and " + unserved(seen, hosts)};
  }
  if (view.parked) {
    return {"parked", waiting(seen) + ", and its state cannot be read: " + shown(*view.parked) +
                          "; run the program that wrote it, or `semper reset` it"};
  }
  if (view.failing) return failing(seen);
  if (view.limited && !seen.has_moved) return limited(seen);
  if (seen.has_moved) return {"moving", "it moves: " + waiting(seen) + " now"};
  if (!seen.chain.empty()) return {"chain", waiting(seen) + " for the message that is running"};
  if (seen.needs) {
    return {"needs", waiting(seen) + ", and no host that is alive can handle " +
                         first_message(seen) + " for it needs " + shown(*seen.needs) +
                         "; start a program that has that (a message that no host knows is set "
                         "aside in the end)"};
  }
  if (!view.indexed) {
    return {"unlisted", waiting(seen) +
                            ", and no host looks at it, because its entry in the index is "
                            "missing; the next message to it writes the entry again"};
  }
  return {"waiting",
          waiting(seen) + " for " + listed_names(hosts.alive) + ": " + first_message(seen) +
              " is running since before it was looked at, or waits for its turn among others"};
}

}  // namespace

Verdict verdict(const Seen& seen) {
  Verdict alone = verdict_alone(seen);
  if (seen.view) alone.sentence += chain_words(seen);
  return alone;
}

namespace {

List chain_item(const std::vector<EntityId>& links) {
  List items;
  for (const auto& id : links) items.add(text_item(id.to_string()));
  return items;
}

Async<std::optional<EntityView>> look(Tenant tenant, EntityId id) {
  auto view = co_await inspect(tenant, id);
  if (!view && view.error().kind() == ErrorKind::not_found) co_return std::nullopt;
  if (!view) co_return fail(view.error());
  co_return std::move(*view);
}

Bytes failing_item(const std::optional<FailingView>& failing) {
  if (!failing) return null_item();
  return Fields()
      .add("attempts", number_item(failing->attempts))
      .add("first_attempt", time_item(failing->first_attempt))
      .add("last_attempt", time_item(failing->last_attempt))
      .add("next_attempt", time_item(failing->next_attempt))
      .add("host", text_item(failing->host))
      .add("reason", text_item(failing->reason))
      .item();
}

Bytes lock_item(const std::optional<LockView>& lock, WallTime now) {
  if (!lock) return null_item();
  return Fields()
      .add("owner", text_item(lock->owner))
      .add("acquired", time_item(lock->acquired))
      .add("age_seconds", seconds_item(now - lock->acquired))
      .item();
}

Bytes limited_item(const std::optional<LimitedView>& limited) {
  if (!limited) return null_item();
  return Fields()
      .add("by", text_item(limited->is_rate ? "rate" : "concurrency"))
      .add("key", text_item(limited->key))
      .add("since", time_item(limited->since))
      .item();
}

Bytes first_item(const std::optional<QueuedView>& first) {
  if (!first) return null_item();
  return Fields()
      .add("versionstamp", text_item(first->stamp.to_string()))
      .add("kind", text_item(first->is_call ? "call" : "cast"))
      .add("message", text_item(first->message.name))
      .add("callers", chain_item(first->callers).item())
      .add("traceparent", first->traceparent.empty() ? null_item() : text_item(first->traceparent))
      .item();
}

Bytes explanation_item(const Seen& seen, const Verdict& verdict) {
  List hosts;
  for (const auto& [view, is_silent] : seen.hosts) {
    if (!serves(view, seen.id.type)) continue;
    hosts.add(
        Fields().add("name", text_item(view.name)).add("silent", flag_item(is_silent)).item());
  }
  Fields fields;
  fields.add("entity", text_item(seen.id.to_string()))
      .add("why", text_item(verdict.why))
      .add("sentence", text_item(verdict.sentence))
      .add("hosts", hosts.item());
  if (!seen.view) return fields.item();
  const EntityView& view = *seen.view;
  return fields.add("queue_length", number_item(view.queue_length))
      .add("processed", number_item(view.processed))
      .add("moving", flag_item(seen.has_moved))
      .add("first", first_item(seen.first))
      .add("lock", lock_item(view.lock, seen.now))
      .add("parked", view.parked ? text_item(*view.parked) : null_item())
      .add("needs", seen.needs ? text_item(*seen.needs) : null_item())
      .add("failing", failing_item(view.failing))
      .add("limited", limited_item(view.limited))
      .add("limits", limits_in(seen) ? limits_item(*limits_in(seen)) : null_item())
      .add("dead_letters", number_item(view.dead_letters))
      .add("indexed", flag_item(view.indexed))
      .add("oldest_seconds", view.oldest ? seconds_item(*view.oldest) : null_item())
      .add("chain", chain_item(seen.chain).item())
      .item();
}

void print(Invocation& invocation, const Seen& seen, const Verdict& verdict) {
  invocation.say(verdict.sentence);
  if (!seen.view) return;
  const auto field = [&](std::string name, const std::string& value) {
    name.resize(16, ' ');
    invocation.say(name + value);
  };
  const EntityView& view = *seen.view;
  field("  queue", std::to_string(view.queue_length) + " waiting, " +
                       std::to_string(view.processed) + " taken");
  if (seen.first) {
    field("  first", std::string(seen.first->is_call ? "call " : "cast ") +
                         shown(seen.first->message.name) + " of " + seen.first->stamp.to_string());
  }
  if (view.oldest) field("  oldest", "waits for " + shown_span(*view.oldest) + " at least");
  if (view.failing) {
    field("  failing", "since " + shown_time(view.failing->first_attempt) + ", last run " +
                           shown_time(view.failing->last_attempt));
  }
  field("  dead letters", std::to_string(view.dead_letters));
  const Serving hosts = serving(seen);
  field("  hosts", hosts.alive.empty() ? "none" : listed_names(hosts.alive));
  if (!hosts.silent.empty()) field("  silent", listed_names(hosts.silent));
}

}  // namespace

Async<void> explain(Invocation& invocation, std::string entity) {
  Seen seen;
  SEMPER_CO_TRY(seen.id, parse_entity(entity));
  SEMPER_CO_TRY(const Tenant tenant, co_await invocation.open_tenant(Invocation::Purpose::read));
  SEMPER_CO_TRY(const auto before, co_await look(tenant, seen.id));
  // Watching the hosts takes up to a lease: what has not moved by then stands.
  SEMPER_CO_TRY(seen.hosts, co_await watch_hosts(tenant));
  SEMPER_CO_TRY(seen.view, co_await look(tenant, seen.id));
  if (!seen.view) seen.no_such_type = co_await because_of_type(tenant, seen.id.type);
  seen.now = tenant.store()->env().clock->wall_time();
  seen.has_moved = before && seen.view && before->processed != seen.view->processed;
  if (seen.view && seen.view->queue_length > 0) {
    auto first = co_await peek_queue(tenant, seen.id, 1);
    if (first && !first->empty()) seen.first = std::move(first->front());
  }
  if (seen.view) {
    std::vector<HostView> alive;
    for (const auto& [view, is_silent] : seen.hosts) {
      if (!is_silent) alive.push_back(view);
    }
    seen.needs = needs_of(*seen.view, alive);
  }
  if (seen.view && !seen.has_moved) {
    SEMPER_CO_TRY(seen.chain, co_await find_chain(tenant, seen.id));
  }
  const Verdict why = verdict(seen);
  if (invocation.json()) co_return invocation.print_document(explanation_item(seen, why));
  print(invocation, seen, why);
  co_return Status{};
}

}  // namespace semper::cli
