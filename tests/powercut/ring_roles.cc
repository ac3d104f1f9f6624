// Producer and consumer of a ring, and who judges it. Items have growing numbers; which of them
// were intended ('I'), acknowledged ('P'), seen ('S'), about to be removed ('B') and removed ('A')
// is noted.
#include <unistd.h>

#include "checkers/ring_order.h"
#include "device.h"
#include "semper/env/scheduler.h"
#include "semper/testing/child_process.h"

namespace semper::testing {
namespace {

constexpr std::size_t kSeenAtOnce = 40;
constexpr std::uint64_t kSpareBlock = 28672;  // docs/ring-format-semper-1.md

std::string producer_notes(const RoleOptions& options) {
  return options.notes + "/producer";
}
std::string consumer_notes(const RoleOptions& options) {
  return options.notes + "/consumer";
}

Async<void> make_ring(BlockDevice& device, const RoleOptions& options, Notes& notes) {
  ring::CreateOptions wanted;
  SEMPER_CO_TRY(wanted.format, ring::format_from(options.format));
  SEMPER_CO_TRY_STATUS(co_await ring::create(device, wanted));
  notes.write('K');
  co_return Status{};
}

Async<void> produce(BlockDevice& device, const RoleOptions& options, Notes& notes,
                    std::uint64_t next) {
  const ring::AttachOptions how = attach_options(options);
  SEMPER_CO_TRY(ring::Producer producer, co_await ring::Producer::attach(device, how));
  SeededRandom random(options.seed);
  while (true) {
    std::vector<Bytes> items;
    std::vector<std::uint64_t> numbers;
    const auto count = random.chance(0.6) ? 1 : 1 + random.below(6);
    for (std::uint64_t i = 0; i < count; ++i) {
      numbers.push_back(next);
      items.push_back(numbered_item(next++));
    }
    notes.write('I', numbers);
    if (random.chance(0.25)) {
      SEMPER_CO_TRY(const ring::Position end, co_await producer.push(items, kNever));
      SEMPER_CO_TRY_STATUS(co_await producer.advance(end));
    } else {
      SEMPER_CO_TRY_STATUS((co_await producer.publish(items, kNever)).map([](ring::Position) {}));
    }
    notes.write('P', numbers);
  }
}

Async<void> consume(BlockDevice& device, const RoleOptions& options, Notes& notes) {
  const ring::AttachOptions how = attach_options(options);
  SEMPER_CO_TRY(ring::Consumer consumer, co_await ring::Consumer::attach(device, how));
  SeededRandom random(options.seed + 1);
  std::optional<ring::Position> from;
  std::vector<std::uint64_t> seen;  // from the front on
  while (true) {
    ring::PopLimits limits;
    limits.max_items = 1 + random.below(8);
    SEMPER_CO_TRY(const std::vector<ring::Item> items,
                  co_await consumer.pop_many(from, limits, kNever));
    for (const auto& item : items) {
      seen.push_back(number_of_item(item.bytes));
      if (seen.back() == 0) co_return fail(ErrorKind::corrupt, "an item that is none of ours");
    }
    notes.write('S', seen);
    from = items.back().after;
    if (seen.size() < kSeenAtOnce && random.chance(0.5)) continue;
    notes.write('B', {seen.back()});
    SEMPER_CO_TRY_STATUS(co_await consumer.advance(*from));
    notes.write('A', {seen.back()});
    from.reset();
    seen.clear();
  }
}

}  // namespace

int run_ring_producer(const RoleOptions& options) {
  Notes notes(producer_notes(options));
  for (int attempt = 0; attempt < kFaultAttempts; ++attempt) {
    const auto before = read_notes(producer_notes(options));
    auto device = open_or_make_file(options, notes, before);
    Scheduler scheduler;
    Status status = device ? Status{} : fail(device.error());
    if (status && !has_note(before, 'K')) {
      status = scheduler.block_on(make_ring(**device, options, notes));
    }
    if (status) {
      status = when_the_dead_let_go([&] {
        return scheduler.block_on(produce(**device, options, notes, highest(before, "I") + 1));
      });
    }
    if (!options.faults || status.error().kind() != ErrorKind::io) {
      return report_error(options, status.error().to_string());
    }
  }
  return report_error(options, "the flushes do not stop failing");
}

int run_ring_consumer(const RoleOptions& options) {
  const auto is_made = [&] { return has_note(read_notes(producer_notes(options)), 'K'); };
  if (!wait_until(is_made)) return report_error(options, "no ring was made");
  Notes notes(consumer_notes(options));
  for (int attempt = 0; attempt < kFaultAttempts; ++attempt) {
    auto device = open_ring_file(options);
    Scheduler scheduler;
    Status status = device ? Status{} : fail(device.error());
    if (status) {
      status = when_the_dead_let_go(
          [&] { return scheduler.block_on(consume(**device, options, notes)); });
    }
    if (!options.faults || status.error().kind() != ErrorKind::io) {
      return report_error(options, status.error().to_string());
    }
  }
  return report_error(options, "the flushes do not stop failing");
}

namespace {

// All that is there, from the front.
Async<std::vector<std::uint64_t>> read_ring(ring::Consumer& consumer) {
  std::vector<std::uint64_t> numbers;
  std::optional<ring::Position> from;
  while (true) {
    auto item = co_await consumer.pop(from);
    if (!item && item.error().kind() == ErrorKind::retry) co_return numbers;
    if (!item) co_return fail(item.error());
    numbers.push_back(number_of_item(item->bytes));
    from = item->after;
    if (numbers.back() == 0) co_return fail(ErrorKind::corrupt, "an item that was not pushed so");
  }
}

Async<void> judge_ring(BlockDevice& device, const RoleOptions& options, RingOrder& order,
                       std::uint64_t next) {
  Notes producer_says(producer_notes(options));
  const ring::AttachOptions how = attach_options(options);
  SEMPER_CO_TRY(ring::Consumer consumer, co_await ring::Consumer::attach(device, how));
  SEMPER_CO_TRY(const std::vector<std::uint64_t> left, co_await read_ring(consumer));
  order.seen(left);
  if (left.empty()) order.drained();
  // It works on: where there is no room, after a removal.
  SEMPER_CO_TRY(ring::Producer producer, co_await ring::Producer::attach(device, how));
  const Bytes item = numbered_item(next);
  producer_says.write('I', {next});
  auto published = co_await producer.publish(item);
  if (published) producer_says.write('P', {next});
  if (!published && published.error().kind() != ErrorKind::retry) {
    co_return fail(published.error().in("publishing after the power cut"));
  }
  SEMPER_CO_TRY(std::vector<std::uint64_t> after, co_await read_ring(consumer));
  if (published) {
    if (after.empty() || after.back() != next) {
      co_return fail(ErrorKind::corrupt, "what is published now does not come out");
    }
    after.pop_back();
  }
  if (after != left) co_return fail(ErrorKind::corrupt, "attaching changed the items");
  SEMPER_CO_TRY_STATUS(co_await producer.detach());
  SEMPER_CO_TRY_STATUS(co_await consumer.detach());
  SEMPER_CO_TRY(const std::vector<ring::HeaderDamage> damage, co_await ring::check_headers(device));
  for (const auto& each : damage) {
    // A copy of what was being settled when the power went: torn, of no use, and no harm.
    if (each.offset == kSpareBlock) continue;
    say_wrong("after both sides were attached, header byte " + std::to_string(each.offset) + ": " +
              each.why);
  }
  std::size_t items = 0;
  SEMPER_CO_TRY_STATUS((co_await ring::read_all(
                            device, [&](const ring::ItemView&) { return ++items, Status{}; },
                            [](const ring::Damage& each) {
                              say_wrong("damage at " + each.start.to_string() + ": " + each.why);
                              return Status{};
                            },
                            how))
                           .map([](ring::Position) {}));
  if (items != left.size() + (published ? 1 : 0)) say_wrong("reading and popping differ");
  co_return Status{};
}

}  // namespace

int run_ring_judge(const RoleOptions& options) {
  const auto said = read_notes(producer_notes(options));
  // Nothing was promised before: the next producer makes it.
  if (!has_note(said, 'K')) return end_of_judgement(0);
  const auto consumed = read_notes(consumer_notes(options));
  RingOrder order;
  std::size_t acknowledged = 0;
  for (const auto& note : said) {
    if (note.what != 'I' && note.what != 'P') continue;
    for (const auto number : note.numbers) {
      order.pushed(number, note.what == 'P' ? Fate::done : Fate::open);
      if (note.what == 'P') ++acknowledged;
    }
  }
  // Only what is durable is shown.
  for (const auto& note : consumed) {
    if (note.what != 'S') continue;
    for (const auto number : note.numbers) order.pushed(number, Fate::done);
  }
  for (const auto& note : consumed) {
    if (note.what == 'S') order.seen(note.numbers);
    if (note.what == 'B') order.removed(note.numbers.at(0), Fate::open);
    if (note.what == 'A') order.removed(note.numbers.at(0), Fate::done);
  }
  auto device = open_ring_file(options);
  Scheduler scheduler;
  Status status = device ? Status{} : fail(device.error());
  if (status) {
    status = when_the_dead_let_go([&] {
      return scheduler.block_on(judge_ring(**device, options, order, highest(said, "I") + 1));
    });
  }
  if (!status) say_wrong("the ring: " + status.error().to_string());
  for (const auto& sentence : order.wrong()) say_wrong(sentence);
  return end_of_judgement(acknowledged);
}

}  // namespace semper::testing
