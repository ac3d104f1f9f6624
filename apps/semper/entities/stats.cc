#include "entities/stats.h"

#include <array>
#include <cstdio>
#include <utility>

#include "common/document.h"
#include "common/text.h"
#include "entities/look.h"
#include "semper/server/inspect.h"

namespace semper::cli {
namespace {

using Purpose = Invocation::Purpose;

constexpr Duration kIntervalMinimum = std::chrono::milliseconds(10);
// The heading is repeated after so many lines, as it has left the screen by then.
constexpr std::uint64_t kLinesPerHeading = 20;
constexpr int kColumnWidth = 12;

// One figure of a line: what the store says now, or by how much a counter grew in a second.
struct Figure {
  const char* name;
  const char* heading;
  enum class Kind { level, counter } kind;
  std::uint64_t value;
};
using Sample = std::vector<Figure>;

Async<Sample> sample_store(Tenant tenant) {
  SEMPER_CO_TRY(const auto version, co_await tenant.store()->transact([](Transaction& transaction) {
    return transaction.read_version();
  }));
  SEMPER_CO_TRY(const auto residue, co_await count_outstanding(tenant));
  Sample sample;
  sample.push_back({"versions_per_second", "versions/s", Figure::Kind::counter, version});
  sample.push_back(
      {"entities_with_work", "with work", Figure::Kind::level, residue.entities_with_work});
  sample.push_back({"locked", "locked", Figure::Kind::level, residue.locks});
  sample.push_back({"waiting_processes", "awaiting", Figure::Kind::level, residue.sessions});
  sample.push_back({"hosts", "hosts", Figure::Kind::level, residue.hosts});
  co_return sample;
}

Async<Sample> sample_entity(Tenant tenant, EntityId id) {
  SEMPER_CO_TRY(const auto view, co_await inspect_known(tenant, id));
  Sample sample;
  sample.push_back(
      {"queued_per_second", "queued/s", Figure::Kind::counter, view.processed + view.queue_length});
  sample.push_back({"processed_per_second", "processed/s", Figure::Kind::counter, view.processed});
  sample.push_back({"queue_length", "waiting", Figure::Kind::level, view.queue_length});
  sample.push_back({"dead_letters", "dead", Figure::Kind::level, view.dead_letters});
  sample.push_back({"locked", "locked", Figure::Kind::level, view.lock ? 1u : 0u});
  co_return sample;
}

std::string heading(const Sample& sample) {
  std::string line;
  std::array<char, 64> cell{};
  for (const auto& figure : sample) {
    std::snprintf(cell.data(), cell.size(), "%*s", kColumnWidth, figure.heading);
    line += cell.data();
  }
  return line;
}

// A counter may also fall: the entity was killed and began anew.
double per_second(const Figure& before, const Figure& after, double seconds) {
  return after.value < before.value ? 0.0
                                    : static_cast<double>(after.value - before.value) / seconds;
}

std::string line(const Sample& before, const Sample& after, double seconds) {
  std::string text;
  std::array<char, 64> cell{};
  for (std::size_t i = 0; i < after.size(); ++i) {
    const double figure = after[i].kind == Figure::Kind::counter
                              ? per_second(before[i], after[i], seconds)
                              : static_cast<double>(after[i].value);
    std::snprintf(cell.data(), cell.size(), "%*.0f", kColumnWidth, figure);
    text += cell.data();
  }
  return text;
}

Bytes event(const Sample& before, const Sample& after, double seconds) {
  Fields fields;
  fields.add("seconds", real_item(seconds));
  for (std::size_t i = 0; i < after.size(); ++i) {
    fields.add(after[i].name, after[i].kind == Figure::Kind::counter
                                  ? real_item(per_second(before[i], after[i], seconds))
                                  : number_item(after[i].value));
  }
  return fields.item();
}

}  // namespace

Async<void> stats(Invocation& invocation, StatsArguments arguments) {
  SEMPER_CO_TRY(const Duration interval, parse_span_option("--interval", arguments.interval));
  if (interval < kIntervalMinimum || interval == kForever) {
    co_return fail(ErrorKind::invalid_argument, "--interval is 10ms at least, and not forever");
  }
  EntityId id;
  if (!arguments.entity.empty()) {
    SEMPER_CO_TRY(id, parse_entity(arguments.entity));
  }
  SEMPER_CO_TRY(const Tenant tenant, co_await invocation.open_tenant(Purpose::read));
  const auto take = [&] {
    return id.id.empty() ? sample_store(tenant) : sample_entity(tenant, id);
  };
  const Interrupt& interrupt = invocation.interrupt();
  Clock& clock = *tenant.store()->env().clock;
  MonotonicTime taken = clock.now();
  SEMPER_CO_TRY(Sample before, co_await take());
  for (std::uint64_t lines = 0; arguments.count == 0 || lines < arguments.count; ++lines) {
    if (!co_await interrupt.sleep_until(clock, taken + interval)) break;
    const MonotonicTime now = clock.now();
    SEMPER_CO_TRY(Sample after, co_await take());
    const double seconds = std::chrono::duration<double>(now - taken).count();
    if (invocation.json()) {
      SEMPER_CO_TRY_STATUS(invocation.print_event(event(before, after, seconds)));
    } else {
      if (lines % kLinesPerHeading == 0) invocation.say(heading(after));
      invocation.say(line(before, after, seconds));
      SEMPER_CO_TRY_STATUS(invocation.flush());
    }
    taken = now;
    before = std::move(after);
  }
  co_return Status{};
}

}  // namespace semper::cli
