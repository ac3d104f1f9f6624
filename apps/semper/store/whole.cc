#include "store/whole.h"

#include <string_view>
#include <utility>

#include "common/document.h"
#include "common/text.h"

namespace semper::cli {
namespace {

using Purpose = Invocation::Purpose;

}  // namespace

Async<void> create(Invocation& invocation) {
  SEMPER_CO_TRY(const Store store, co_await invocation.open(Purpose::create));
  invocation.mark_done();
  if (invocation.json()) {
    co_return invocation.print_document(Fields().add("url", text_item(store.url())).item());
  }
  invocation.say("the store " + shown(store.url()) + " is there");
  co_return Status{};
}

Async<void> check(Invocation& invocation) {
  SEMPER_CO_TRY(const Store store, co_await invocation.open(Purpose::read));
  SEMPER_CO_TRY(const auto words, co_await store.backend().check());
  if (invocation.json()) {
    co_return invocation.print_document(
        Fields().add("sound", flag_item(true)).add("checked", text_item(words)).item());
  }
  invocation.say("no damage found: " + words);
  co_return Status{};
}

Async<void> backup(Invocation& invocation, BackupArguments arguments) {
  // Else it would be the name of a file, and `store copy` takes two of them.
  constexpr std::string_view kScheme = "sqlite:";
  if (arguments.to.starts_with(kScheme)) {
    co_return fail(ErrorKind::invalid_argument, "TO is the path of a file, not a URL; write " +
                                                    shown(arguments.to.substr(kScheme.size())) +
                                                    " (or ./" + shown(arguments.to) +
                                                    " for a file of that name)");
  }
  SEMPER_CO_TRY(const Store store, co_await invocation.open(Purpose::read));
  Progress progress = invocation.progress(system_clock());
  BackupOptions options;
  options.stop = invocation.interrupt().token();
  options.on_progress = [&progress](const BackupProgress& step) {
    if (step.step == BackupProgress::Step::copy) {
      progress.update(0, step.done_bytes, step.total_bytes);
    }
  };
  SEMPER_CO_TRY(const BackupReport report,
                co_await store.backend().backup(arguments.to, std::move(options)));
  invocation.mark_done();
  if (invocation.json()) {
    co_return invocation.print_document(Fields()
                                            .add("path", text_item(arguments.to))
                                            .add("version", number_item(report.version))
                                            .add("bytes", number_item(report.bytes))
                                            .add("checked", text_item(report.checked))
                                            .item());
  }
  invocation.say(shown(arguments.to) + ": " + shown_size(report.bytes) + ", the store at version " +
                 std::to_string(report.version) + "; checked: " + report.checked);
  co_return Status{};
}

Async<void> info(Invocation& invocation) {
  SEMPER_CO_TRY(const Store store, co_await invocation.open(Purpose::read));
  SEMPER_CO_TRY(const auto version, co_await store.transact([](Transaction& transaction) {
    return transaction.read_version();
  }));
  const Limits& limits = store.limits();
  const std::vector<std::pair<const char*, std::uint64_t>> bounds = {
      {"key_bytes", limits.key_bytes},
      {"value_bytes", limits.value_bytes},
      {"transaction_bytes", limits.transaction_bytes},
      {"transaction_operations", limits.transaction_operations},
      {"transaction_milliseconds",
       std::chrono::duration_cast<std::chrono::milliseconds>(limits.transaction_duration).count()}};
  const auto statistics = store.backend().statistics();
  if (invocation.json()) {
    Fields limit_fields, statistic_fields;
    for (const auto& [name, bound] : bounds) limit_fields.add(name, number_item(bound));
    for (const auto& [name, figure] : statistics) statistic_fields.add(name, signed_item(figure));
    co_return invocation.print_document(Fields()
                                            .add("url", text_item(store.url()))
                                            .add("version", number_item(version))
                                            .add("limits", limit_fields.item())
                                            .add("statistics", statistic_fields.item())
                                            .item());
  }
  std::vector<std::vector<std::string>> rows = {{"url", shown(store.url())},
                                                {"version", std::to_string(version)}};
  for (const auto& [name, bound] : bounds) {
    rows.push_back({std::string("limit ") + name, std::to_string(bound)});
  }
  for (const auto& [name, figure] : statistics) {
    if (name != "version")
      rows.push_back({name, std::to_string(figure)});  // memory: counts it, too
  }
  invocation.print(table(rows));
  co_return Status{};
}

}  // namespace semper::cli
