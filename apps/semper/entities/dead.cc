#include "entities/dead.h"

#include <utility>

#include "common/document.h"
#include "common/text.h"
#include "entities/look.h"
#include "semper/server/dead_letters.h"

namespace semper::cli {
namespace {

using Purpose = Invocation::Purpose;

Result<std::vector<Versionstamp>> parse_letters(const std::vector<std::string>& texts) {
  std::vector<Versionstamp> stamps;
  for (const auto& text : texts) {
    auto stamp = Versionstamp::from_string(text);
    if (!stamp) return fail(stamp.error().in("--letter " + shown(text)));
    stamps.push_back(*stamp);
  }
  return stamps;
}

Status print_count(Invocation& invocation, const EntityId& id, const char* what,
                   std::uint64_t count, const std::string& words) {
  if (invocation.json()) {
    return invocation.print_document(
        Fields().add("entity", text_item(id.to_string())).add(what, number_item(count)).item());
  }
  invocation.say(shown(id.to_string()) + ": " + std::to_string(count) + words);
  return {};
}

Status report(Invocation& invocation, const EntityId& id, const char* done, std::uint64_t count,
              const std::string& words) {
  invocation.mark_done();
  return print_count(invocation, id, done, count, words);
}

Async<void> show_dead_letters(Invocation& invocation, DeadArguments arguments) {
  SEMPER_CO_TRY(const auto id, parse_entity(arguments.entity));
  SEMPER_CO_TRY(const Tenant tenant, co_await invocation.open_tenant(Purpose::read));
  const auto set_aside = co_await list_dead_letters(tenant, id, bound(arguments.limit));
  if (!set_aside) co_return fail(co_await explained(tenant, id, set_aside.error()));
  const auto& letters = *set_aside;
  List document;
  std::vector<std::vector<std::string>> rows = {
      {"TIME", "RUNS", "KIND", "MESSAGE", "CONTENT", "REASON"}};
  for (const auto& view : letters) {
    const char* kind = view.was_call ? "call" : "cast";
    if (view.is_damaged) {
      document.add(Fields()
                       .add("versionstamp", text_item(view.stamp.to_string()))
                       .add("damaged", flag_item(true))
                       .add("reason", text_item(view.reason))
                       .item());
      rows.push_back(
          {"?", "?", "?", "?", "(damaged) " + view.stamp.to_string(), shown(view.reason)});
      continue;
    }
    document.add(Fields()
                     .add("versionstamp", text_item(view.stamp.to_string()))
                     .add("time", time_item(view.time))
                     .add("first_attempt", time_item(view.first_attempt))
                     .add("attempts", view.attempts > 0 ? number_item(view.attempts) : null_item())
                     .add("kind", text_item(kind))
                     .add("message", text_item(view.message.name))
                     .add("content", stored_item(view.message.payload))
                     .add("reason", text_item(view.reason))
                     .item());
    const std::string runs = view.attempts > 0 ? std::to_string(view.attempts) : "?";
    rows.push_back({shown_time(view.time), runs, kind, shown(view.message.name),
                    shown_value(view.message.payload), shown(view.reason)});
  }
  if (invocation.json()) co_return invocation.print_document(document.item());
  if (letters.empty()) {
    invocation.note(shown(id.to_string()) + " has no dead letters");
  } else {
    invocation.print(table(rows));
  }
  co_return Status{};
}

Async<void> count(Invocation& invocation, DeadArguments arguments) {
  SEMPER_CO_TRY(const auto id, parse_entity(arguments.entity));
  SEMPER_CO_TRY(const Tenant tenant, co_await invocation.open_tenant(Purpose::read));
  SEMPER_CO_TRY(const auto letters, co_await count_dead_letters(tenant, id));
  if (letters == 0) {
    const auto why = co_await because_of_type(tenant, id.type);
    if (!why.empty()) invocation.note(shown(id.to_string()) + " has no dead letters" + why);
  }
  const char* words = letters == kDeadLettersCounted ? " dead letters or more" : " dead letters";
  co_return print_count(invocation, id, "dead_letters", letters, words);
}

Async<void> redrive(Invocation& invocation, DeadArguments arguments) {
  SEMPER_CO_TRY(const auto id, parse_entity(arguments.entity));
  SEMPER_CO_TRY(const auto named, parse_letters(arguments.letters));
  SEMPER_CO_TRY(const Tenant tenant, co_await invocation.open_tenant(Purpose::change));
  std::uint64_t redriven = named.size();
  if (named.empty()) {
    const auto put_back = co_await redrive_dead_letters(tenant, id, bound(arguments.limit));
    if (!put_back) co_return fail(co_await explained(tenant, id, put_back.error()));
    redriven = *put_back;
  } else {
    const auto put_back = co_await redrive_dead_letters(tenant, id, named);
    if (!put_back) co_return fail(co_await explained(tenant, id, put_back.error()));
  }
  co_return report(invocation, id, "redriven", redriven,
                   " dead letters are back at the end of the queue");
}

Async<void> remove(Invocation& invocation, DeadArguments arguments) {
  SEMPER_CO_TRY(const auto id, parse_entity(arguments.entity));
  SEMPER_CO_TRY(const auto named, parse_letters(arguments.letters));
  SEMPER_CO_TRY_STATUS(invocation.confirm(std::to_string(named.size()) + " dead letters of " +
                                          shown(id.to_string()) + " will be deleted"));
  SEMPER_CO_TRY(const Tenant tenant, co_await invocation.open_tenant(Purpose::change));
  const auto deleted = co_await delete_dead_letters(tenant, id, named);
  if (!deleted) co_return fail(co_await explained(tenant, id, deleted.error()));
  co_return report(invocation, id, "deleted", named.size(), " dead letters are deleted");
}

Async<void> purge(Invocation& invocation, DeadArguments arguments) {
  SEMPER_CO_TRY(const auto id, parse_entity(arguments.entity));
  std::optional<Duration> age;
  if (!arguments.older_than.empty()) {
    SEMPER_CO_TRY(age, parse_span_option("--older-than", arguments.older_than));
  }
  SEMPER_CO_TRY_STATUS(invocation.confirm(
      "all dead letters of " + shown(id.to_string()) +
      (age ? " that were set aside more than " + shown_span(*age) + " ago" : "") +
      " will be deleted"));
  SEMPER_CO_TRY(const Tenant tenant, co_await invocation.open_tenant(Purpose::change));
  std::optional<WallTime> before;
  if (age && *age != kForever) before = tenant.store()->env().clock->wall_time() - *age;
  if (age && !before) co_return report(invocation, id, "deleted", 0, " are so old");
  const auto purged = co_await purge_dead_letters(tenant, id, before);
  if (!purged) co_return fail(co_await explained(tenant, id, purged.error()));
  co_return report(invocation, id, "deleted", *purged, " dead letters are deleted");
}

Async<void> refuse_names() {
  co_return fail(ErrorKind::invalid_argument,
                 "--letter names what --redrive puts back or --delete deletes; give one of them");
}

}  // namespace

Async<void> run_dead(Invocation& invocation, DeadArguments arguments) {
  const bool takes_names = arguments.redrive || arguments.remove;
  if (!arguments.letters.empty() && !takes_names) return refuse_names();
  if (arguments.redrive) return redrive(invocation, std::move(arguments));
  if (arguments.remove) return remove(invocation, std::move(arguments));
  if (arguments.purge) return purge(invocation, std::move(arguments));
  if (arguments.count) return count(invocation, std::move(arguments));
  return show_dead_letters(invocation, std::move(arguments));
}

}  // namespace semper::cli
