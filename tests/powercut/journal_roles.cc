// A journal with several lanes of pushes at once, and who judges it. The numbers of a lane grow;
// what was intended ('I'), acknowledged ('P') and performed ('D') is noted.
#include <set>

#include "device.h"
#include "semper/env/one_shot.h"
#include "semper/env/scheduler.h"
#include "semper/ring/journal.h"

namespace semper::testing {
namespace {

constexpr std::uint64_t kLanes = 4;

std::string journal_notes(const RoleOptions& options) {
  return options.notes + "/journal";
}
std::string performed_notes(const RoleOptions& options) {
  return options.notes + "/performed";
}

Result<ring::JournalOptions> journal_options(const RoleOptions& options) {
  ring::JournalOptions chosen;
  SEMPER_TRY(chosen.format, ring::format_from(options.format));
  chosen.retry_interval = std::chrono::milliseconds(1);
  chosen.ring = attach_options(options);
  return chosen;
}

// A lane's numbers are those that are its own modulo kLanes.
Async<void> push_for_ever(ring::Journal& journal, Notes& notes, std::uint64_t number) {
  while (true) {
    number += kLanes;
    const Bytes item = numbered_item(number);
    notes.write('I', {number});
    auto pushed = co_await journal.push(item);
    if (!pushed) co_return fail(pushed.error());
    notes.write('P', {number});
  }
}

Async<void> keep_journal(BlockDevice& device, const RoleOptions& options, Notes& notes,
                         std::uint64_t highest_number) {
  Notes performed(performed_notes(options));
  SeededRandom random(options.seed);
  const ring::Journal::Perform perform = [&](const std::vector<ring::Item>& items) -> Async<void> {
    std::vector<std::uint64_t> numbers;
    for (const auto& item : items) numbers.push_back(number_of_item(item.bytes));
    if (random.chance(0.05)) co_return fail(ErrorKind::retry, "not this time");
    performed.write('D', numbers);
    co_return Status{};
  };
  SEMPER_CO_TRY(const ring::JournalOptions how, journal_options(options));
  SEMPER_CO_TRY(ring::Journal journal, co_await ring::Journal::start(device, perform, how));
  notes.write('K');
  const auto base = (highest_number / kLanes + 1) * kLanes;
  std::vector<OneShot<Status>> ends(kLanes);
  const auto executor = co_await asio::this_coro::executor;
  for (std::uint64_t lane = 0; lane < kLanes; ++lane) {
    auto work = push_for_ever(journal, notes, base + lane);
    asio::co_spawn(executor, std::move(work),
                   [end = ends[lane]](std::exception_ptr, Status status) mutable {
                     end.set(std::move(status));
                   });
  }
  Status first;
  for (auto& end : ends) {
    SEMPER_CO_TRY(Status status, co_await end.wait());
    if (!status) first = std::move(status);
  }
  co_return first;
}

}  // namespace

int run_journal(const RoleOptions& options) {
  Notes notes(journal_notes(options));
  for (int attempt = 0; attempt < kFaultAttempts; ++attempt) {
    const auto before = read_notes(journal_notes(options));
    auto device = open_or_make_file(options, notes, before);
    Scheduler scheduler;
    Status status = device ? Status{} : fail(device.error());
    if (status) {
      status = when_the_dead_let_go([&] {
        return scheduler.block_on(keep_journal(**device, options, notes, highest(before, "I")));
      });
    }
    if (!options.faults || status.error().kind() != ErrorKind::io) {
      return report_error(options, status.error().to_string());
    }
  }
  return report_error(options, "the flushes do not stop failing");
}

namespace {

Async<void> replay(BlockDevice& device, const RoleOptions& options,
                   std::vector<std::uint64_t>& numbers) {
  const ring::Journal::Perform perform = [&](const std::vector<ring::Item>& items) -> Async<void> {
    for (const auto& item : items) numbers.push_back(number_of_item(item.bytes));
    co_return Status{};
  };
  SEMPER_CO_TRY(const ring::JournalOptions how, journal_options(options));
  SEMPER_CO_TRY(ring::Journal journal, co_await ring::Journal::start(device, perform, how));
  SEMPER_CO_TRY_STATUS(co_await journal.replayed());
  co_return co_await journal.shutdown();
}

// Performed for the first time in order, lane by lane, and nothing that was acknowledged passed
// over.
void judge_order(const std::vector<std::uint64_t>& performed,
                 const std::set<std::uint64_t>& intended,
                 const std::set<std::uint64_t>& acknowledged) {
  std::set<std::uint64_t> done;
  std::uint64_t last[kLanes] = {};
  for (const auto number : performed) {
    if (!intended.contains(number))
      say_wrong("item " + std::to_string(number) + " was never pushed");
    if (!done.insert(number).second) continue;  // again
    auto& before = last[number % kLanes];
    if (number < before) {
      say_wrong("item " + std::to_string(number) + " was performed after " +
                std::to_string(before));
    }
    before = std::max(before, number);
  }
  for (const auto number : acknowledged) {
    if (!done.contains(number)) {
      say_wrong("item " + std::to_string(number) + " was acknowledged and never performed");
    }
  }
}

}  // namespace

int run_journal_judge(const RoleOptions& options) {
  const auto said = read_notes(journal_notes(options));
  if (!has_note(said, 'K')) return end_of_judgement(0);
  std::set<std::uint64_t> intended;
  std::set<std::uint64_t> acknowledged;
  for (const auto& note : said) {
    if (note.what == 'I') intended.insert(note.numbers.at(0));
    if (note.what == 'P') acknowledged.insert(note.numbers.at(0));
  }
  std::vector<std::uint64_t> performed;
  for (const auto& note : read_notes(performed_notes(options))) {
    performed.insert(performed.end(), note.numbers.begin(), note.numbers.end());
  }
  auto device = open_ring_file(options);
  Scheduler scheduler;
  std::vector<std::uint64_t> now;
  Status status = device ? Status{} : fail(device.error());
  if (status) {
    status =
        when_the_dead_let_go([&] { return scheduler.block_on(replay(**device, options, now)); });
  }
  if (!status) say_wrong("the journal: " + status.error().to_string());
  Notes(performed_notes(options)).write('D', now);
  performed.insert(performed.end(), now.begin(), now.end());
  judge_order(performed, intended, acknowledged);
  return end_of_judgement(acknowledged.size());
}

}  // namespace semper::testing
