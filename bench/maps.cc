// What a message costs that changes one entry of a map (server/map.h), by how many entries its
// entity has.
//
//   bench_maps [--json PATH] [--smoke] [--only PART] [--runs N]
//
// Parts: entry. Calls one after the other, inline, on sqlite: in the benchmark's folder; each run
// measures the small entity directly before the large one. The rows hold medians over the runs.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "semper/semper.h"
#include "semper/server/map.h"
#include "support/arguments.h"
#include "support/report.h"

namespace semper::bench {
namespace {

using Steady = std::chrono::steady_clock;

constexpr std::uint64_t kFew = 100;
constexpr std::uint64_t kFillAtOnce = 1'000;

struct Book {
  using State = std::int64_t;
  static constexpr Map<std::uint64_t, std::string> kLines{"lines"};

  struct Fill {
    std::uint64_t first = 0;
    std::uint64_t count = 0;
  };
  struct Change {
    std::uint64_t line = 0;
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Fill, Change>;

  Result<State> init(const EntityId&) { return 0; }
  void handle_cast(const Fill& m, State&, Context& context) {
    const std::string line(100, '.');
    for (std::uint64_t i = 0; i < m.count; ++i) kLines.set(context, m.first + i, line);
  }
  Async<std::int64_t> handle_call(const Change& m, State& s, Context& context) {
    const std::uint64_t number = m.line;
    SEMPER_CO_TRY(auto line, co_await kLines.get(context, number));
    if (!line) co_return fail(ErrorKind::not_found, "there is no such line");
    line->replace(0, 20, std::to_string(1'000'000'000 + s));
    kLines.set(context, number, *line);
    co_return ++s;
  }
};

template <class T>
T value_or_exit(Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "bench_maps: %s\n", result.error().to_string().c_str());
    std::exit(1);
  }
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

void fill(Scheduler& scheduler, const Ref<Book>& book, std::uint64_t entries) {
  for (std::uint64_t first = 0; first < entries; first += kFillAtOnce) {
    const Book::Fill some{first, std::min(kFillAtOnce, entries - first)};
    value_or_exit(scheduler.block_on(book.cast(some)));
  }
}

double change_p50_us(Scheduler& scheduler, const Ref<Book>& book, std::uint64_t entries,
                     double seconds) {
  std::vector<double> samples;
  std::uint64_t line = 0;
  const auto end = Steady::now() + std::chrono::duration<double>(seconds);
  while (Steady::now() < end) {
    line = (line * 6'364'136'223'846'793'005u + 1'442'695'040'888'963'407u);
    const Book::Change change{(line >> 20) % entries};
    const auto start = Steady::now();
    value_or_exit(scheduler.block_on(book.call(change)));
    samples.push_back(std::chrono::duration<double, std::micro>(Steady::now() - start).count());
  }
  return percentile(std::move(samples), 0.5);
}

void run_entry(const CommonSettings& settings, Report& report) {
  const std::uint64_t many = settings.smoke ? 5'000 : 1'000'000;
  const double seconds = settings.smoke ? 0.05 : 2.0;
  const WorkFolder folder("maps");
  Scheduler scheduler;
  const Store store =
      value_or_exit(scheduler.block_on(open_store("sqlite:" + folder.path() + "/maps.db")));
  std::vector<double> small;
  std::vector<double> large;
  {
    Host host(store);
    host.serve<Book>();
    value_or_exit(scheduler.block_on(host.start()));
    const auto few_lines = ref<Book>(store, "few");
    const auto many_lines = ref<Book>(store, "many");
    progress("filling a map");
    fill(scheduler, few_lines, kFew);
    fill(scheduler, many_lines, many);
    for (int i = 0; i < settings.rounds(); ++i) {
      progress("changing entries, run " + std::to_string(i + 1));
      small.push_back(change_p50_us(scheduler, few_lines, kFew, seconds));
      large.push_back(change_p50_us(scheduler, many_lines, many, seconds));
    }
    value_or_exit(scheduler.block_on(host.stop()));
  }
  value_or_exit(scheduler.block_on(store.close()));
  report.add({"a call that changes one of 1,000,000 entries, p50",
              large,
              "us",
              "one of 100",
              small,
              {Bar::Kind::at_most_ratio, 2.0}});
}

}  // namespace
}  // namespace semper::bench

int main(int argc, char** argv) {
  using namespace semper::bench;
  CommonSettings settings(5);
  const Arguments arguments = parse_arguments(argc, argv, {"entry"}, settings);
  if (arguments != Arguments::good) return exit_code(arguments);
  Report report("maps", settings.json);
  run_entry(settings, report);
  return report.finish();
}
