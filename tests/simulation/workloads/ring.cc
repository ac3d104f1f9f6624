// Producers and consumers of rings of both formats, on disks whose power goes: each acknowledged
// item comes out, in order, as it went in, until its removal was acknowledged. Now and then
// somebody else wants a side that is taken.
#include "semper/ring/ring.h"

#include <deque>
#include <optional>
#include <type_traits>

#include "checkers/ring_order.h"
#include "disks.h"
#include "semper/env/one_shot.h"
#include "semper/ring/consumer.h"
#include "semper/ring/producer.h"
#include "workload.h"
#include "workloads.h"

namespace semper::simulation {
namespace {

using namespace std::chrono_literals;

struct Pair {
  Pair(Simulation& simulation, ring::Format of) : format(of), disk(make_disk(simulation, of)) {}

  const ring::Format format;
  testing::SimulatedDisk disk;
  Handles handles;
  testing::RingOrder order;
  std::uint64_t last_number = 0;
  bool is_paused = false;    // the consumer has asked for a pause, durably, and not ended it
  std::uint64_t pauses = 0;  // so far
  bool is_produced = false;
  bool is_consumed = false;
};

class RingWorkload final : public Workload {
 public:
  RingWorkload(Simulation& simulation, const Scenario& scenario) : simulation_(simulation) {
    for (std::size_t i = 0; i + 1 < scenario.count("clients"); i += 2) {
      const bool is_old = (scenario.seed + i / 2) % 3 == 0;
      pairs_.emplace_back(simulation, is_old ? ring::Format::mirage_1_0 : ring::Format::semper_1);
    }
  }

  void serve(Host&, Process&) override {}
  std::vector<std::string> types() const override { return {}; }
  bool expects(ErrorKind kind) const override {
    return is_of_disks(kind) || kind == ErrorKind::not_found;
  }

  Task<void> client(Client& client) override {
    if (client.index() / 2 >= pairs_.size()) co_return;
    Pair& pair = pairs_[client.index() / 2];
    if (client.index() % 2 == 0) {
      co_await produce(client, pair);
    } else {
      co_await consume(client, pair);
    }
  }

  Task<void> judge(Observer& observer) override {
    for (auto& pair : pairs_) {
      if (pair.is_produced && pair.is_consumed) pair.order.drained();
      for (const auto& wrong : pair.order.wrong()) {
        observer.finding("ring " + std::string(ring::to_string(pair.format)) + ": " + wrong);
      }
    }
    co_return;
  }

 private:
  ring::AttachOptions attach_options() const {
    ring::AttachOptions options;
    options.env = simulation_.env();
    options.memory_bytes = std::size_t{256} << 10;
    return options;
  }
  MonotonicTime soon(Duration span) { return simulation_.clock().after(span); }

  Task<void> produce(Client& client, Pair& pair) {
    while (client.more()) {
      BlockDevice& device = pair.handles.open(pair.disk);
      ring::CreateOptions create;
      create.format = pair.format;
      create.env = simulation_.env();
      auto made = co_await client.operate("ring::create", "", ring::create(device, create));
      if (made) {
        const auto options = attach_options();
        auto producer = co_await client.operate("Producer::attach", "",
                                                ring::Producer::attach(device, options));
        if (producer) co_await produce_with(client, pair, *producer);
      }
      co_await client.think();
    }
    pair.is_produced = true;
  }

  // Until it ends, or the handle does.
  Task<void> produce_with(Client& client, Pair& pair, ring::Producer& producer) {
    while (client.more()) {
      maybe_cut_power(client, pair.disk);
      maybe_fail(client, pair.disk);
      const auto kind = client.random().below(12);
      bool lives = true;
      if (client.random().chance(0.05)) {
        lives = co_await intrude(client, pair, producer);
      } else if (kind == 0) {
        auto state = co_await client.operate("Producer::state", "", producer.state());
        lives = state.has_value();
      } else if (kind == 1) {
        auto told = co_await client.operate("Producer::debug_info", "", producer.debug_info());
        lives = told.has_value();
      } else if (kind == 2) {
        static_cast<void>(co_await client.operate("Producer::detach", "", producer.detach()));
        lives = false;
      } else if (kind < 6) {
        lives = co_await push_and_advance(client, pair, producer);
      } else if (kind < 8) {
        lives = co_await put_in_together(client, pair, producer);
      } else {
        lives = co_await publish(client, pair, producer);
      }
      if (!lives) co_return;
      co_await client.think();
    }
    static_cast<void>(co_await client.operate("Producer::detach", "", producer.detach()));
  }

  std::vector<Bytes> next_items(Client& client, Pair& pair, std::vector<std::uint64_t>& numbers) {
    std::vector<Bytes> items;
    for (auto left = 1 + client.random().below(4); left > 0; --left) {
      numbers.push_back(++pair.last_number);
      items.push_back(make_item(pair.last_number));
      pair.order.pushed(pair.last_number, Fate::open);
    }
    return items;
  }
  static void answer(Pair& pair, const std::vector<std::uint64_t>& numbers, Fate fate) {
    for (const auto number : numbers) pair.order.pushed(number, fate);
  }
  static bool goes_on(const Error& error) {
    return error.kind() == ErrorKind::retry || error.kind() == ErrorKind::suspended ||
           error.kind() == ErrorKind::timeout || error.kind() == ErrorKind::cancelled;
  }

  // What a producer puts in before the pause that it was asked for is over.
  struct PauseWatch {
    explicit PauseWatch(Pair& of) : pair(of), was_paused(of.is_paused), pauses(of.pauses) {}
    void taken(Simulation& simulation) const {
      if (!was_paused || !pair.is_paused || pair.pauses != pauses) return;
      simulation.finding("ring " + std::string(ring::to_string(pair.format)) +
                         ": items were taken although the consumer had asked for a pause");
    }
    const Pair& pair;
    const bool was_paused;
    const std::uint64_t pauses;
  };

  // False: the handle is of no more use.
  Task<bool> publish(Client& client, Pair& pair, ring::Producer& producer) {
    std::vector<std::uint64_t> numbers;
    const auto items = next_items(client, pair, numbers);
    const PauseWatch watch(pair);
    auto told =
        co_await client.operate("Producer::publish", "from " + std::to_string(numbers.front()),
                                producer.publish(items, soon(2s)));
    if (told) watch.taken(simulation_);
    answer(pair, numbers, fate_of_push(told));
    co_return told || goes_on(told.error());
  }

  // Several calls at once, which share a write.
  struct Together {
    std::vector<std::vector<Bytes>> items;
    std::vector<bool> pushes;  // and does not publish
    std::vector<std::vector<std::uint64_t>> numbers;
    std::vector<Result<ring::Position>> told;
    std::size_t left = 0;
    OneShot<std::monostate> done;
  };
  static Task<void> one_of(std::shared_ptr<Together> all, std::size_t which,
                           Async<ring::Position> call) {
    all->told[which] = co_await std::move(call);
    if (--all->left == 0) all->done.set({});
  }
  static Async<void> call_all(ring::Producer& producer, std::shared_ptr<Together> all,
                              MonotonicTime deadline) {
    const auto executor = co_await asio::this_coro::executor;
    for (std::size_t i = 0; i < all->items.size(); ++i) {
      auto call = all->pushes[i] ? producer.push(all->items[i], deadline)
                                 : producer.publish(all->items[i], deadline);
      asio::co_spawn(executor, one_of(all, i, std::move(call)), asio::detached);
    }
    // Also where it is cancelled: they go on.
    SEMPER_CO_TRY([[maybe_unused]] const auto nothing, co_await all->done.wait_regardless());
    co_return Status{};
  }

  Task<bool> put_in_together(Client& client, Pair& pair, ring::Producer& producer) {
    auto all = std::make_shared<Together>();
    for (auto calls = 2 + client.random().below(2); calls > 0; --calls) {
      all->items.push_back(next_items(client, pair, all->numbers.emplace_back()));
      all->pushes.push_back(client.random().chance(0.3));
      all->told.emplace_back(fail(ErrorKind::internal, "not answered"));
      ++all->left;
    }
    const std::string words = "together, from " + std::to_string(all->numbers.front().front());
    auto over =
        co_await client.operate("Producer::publish", words, call_all(producer, all, soon(2s)));
    bool lives = over.has_value();
    for (std::size_t i = 0; i < all->told.size(); ++i) {
      const auto& told = all->told[i];
      // What is only pushed comes with what is published next, or not at all.
      const bool is_open = told && all->pushes[i];
      answer(pair, all->numbers[i], is_open ? Fate::open : fate_of_push(told));
      lives = lives && (told || goes_on(told.error()));
    }
    co_return lives;
  }

  Task<bool> push_and_advance(Client& client, Pair& pair, ring::Producer& producer) {
    std::vector<std::uint64_t> numbers;
    const auto items = next_items(client, pair, numbers);
    const std::string words = "from " + std::to_string(numbers.front());
    auto end = co_await client.operate("Producer::push", words, producer.push(items, soon(2s)));
    if (!end) {
      answer(pair, numbers, fate_of_push(end));
      co_return goes_on(end.error());
    }
    auto told = co_await client.operate("Producer::advance", words, producer.advance(*end));
    // What was pushed and not exposed is exposed with what comes next, or dropped.
    if (told) answer(pair, numbers, Fate::done);
    co_return told || goes_on(told.error());
  }

  // Another handle wants the side that this one has. False: this one is of no more use.
  template <class Side>
  Task<bool> intrude(Client& client, Pair& pair, Side& holder) {
    const bool produces = std::is_same_v<Side, ring::Producer>;
    BlockDevice& device = pair.handles.open(pair.disk);
    const auto options = attach_options();
    auto second = co_await client.operate(produces ? "Producer::attach" : "Consumer::attach",
                                          "where one is", Side::attach(device, options));
    const auto state = co_await client.operate(produces ? "Producer::state" : "Consumer::state",
                                               "beside another one", holder.state());
    // After a power loss the first one is as good as dead.
    if (second && state) {
      simulation_.finding(std::string("a second ") + (produces ? "producer" : "consumer") +
                          " was let in");
    }
    co_return !second && (state || goes_on(state.error()));
  }

  Task<void> consume(Client& client, Pair& pair) {
    while (!pair.is_consumed) {
      BlockDevice& device = pair.handles.open(pair.disk);
      const auto options = attach_options();
      auto consumer =
          co_await client.operate("Consumer::attach", "", ring::Consumer::attach(device, options));
      if (consumer) co_await consume_with(client, pair, *consumer);
      co_await client.think();
      // No ring yet, and nobody will make one.
      if (!consumer && consumer.error().kind() == ErrorKind::not_found && pair.is_produced) break;
    }
  }

  Task<void> consume_with(Client& client, Pair& pair, ring::Consumer& consumer) {
    bool lives = co_await resume(client, pair, consumer);
    while (lives) {
      maybe_cut_power(client, pair.disk);
      maybe_fail(client, pair.disk);
      const auto kind = client.random().below(12);
      if (!client.ends_soon() && client.random().chance(0.05)) {
        lives = co_await intrude(client, pair, consumer);
      } else if (kind == 0) {
        auto state = co_await client.operate("Consumer::state", "", consumer.state());
        lives = state || goes_on(state.error());
      } else if (kind == 1) {
        auto told = co_await client.operate("Consumer::debug_info", "", consumer.debug_info());
        lives = told || goes_on(told.error());
      } else if (kind == 2 && !client.ends_soon()) {
        auto told = co_await client.operate("Consumer::suspend", "", consumer.suspend());
        lives = told || goes_on(told.error());
        if (told) {
          pair.is_paused = true;
          ++pair.pauses;
        }
        co_await client.think();
        lives = lives && co_await resume(client, pair, consumer);
      } else if (kind == 3 && !client.ends_soon()) {
        static_cast<void>(co_await client.operate("Consumer::detach", "", consumer.detach()));
        co_return;
      } else if (kind == 4) {
        lives = co_await look_at_all(client, pair, consumer);
      } else {
        lives = co_await take(client, pair, consumer);
        if (pair.is_consumed) {
          static_cast<void>(co_await client.operate("Consumer::detach", "", consumer.detach()));
          co_return;
        }
      }
      co_await client.think();
    }
  }

  // A consumer that died may have left the producer suspended.
  Task<bool> resume(Client& client, Pair& pair, ring::Consumer& consumer) {
    while (true) {
      pair.is_paused = false;
      auto told = co_await client.operate("Consumer::resume", "", consumer.resume());
      if (told) co_return true;
      if (!goes_on(told.error())) co_return false;
      if (told.error().kind() == ErrorKind::retry && client.ends_soon()) co_return true;
      static_cast<void>(co_await sleep_for(simulation_.clock(), 50ms));
    }
  }

  std::uint64_t number_of(Pair& pair, BytesView bytes) {
    const auto number = number_in(bytes);
    if (number == 0) {
      simulation_.finding("ring " + std::string(ring::to_string(pair.format)) + ": an item of " +
                          std::to_string(bytes.size()) + " bytes is not as it was pushed");
    }
    return number;
  }

  Task<bool> take(Client& client, Pair& pair, ring::Consumer& consumer) {
    // Whatever comes after this was said is not missed below.
    const bool all_is_there = pair.is_produced;
    std::vector<std::uint64_t> numbers;
    ring::Position after;
    std::optional<Error> error;
    if (client.random().chance(0.5)) {
      auto item = co_await client.operate("Consumer::pop", "", consumer.pop({}, soon(300ms)));
      if (item) {
        numbers.push_back(number_of(pair, item->bytes));
        after = item->after;
      } else {
        error = item.error();
      }
    } else {
      ring::PopLimits limits;
      limits.max_items = 1 + client.random().below(8);
      auto items = co_await client.operate("Consumer::pop_many", "",
                                           consumer.pop_many({}, limits, soon(300ms)));
      if (items) {
        for (const auto& item : *items) numbers.push_back(number_of(pair, item.bytes));
        after = items->back().after;
      } else {
        error = items.error();
      }
    }
    if (error) {
      pair.is_consumed = all_is_there && error->kind() == ErrorKind::timeout;
      co_return goes_on(*error);
    }
    pair.order.seen(numbers);
    pair.order.removed(numbers.back(), Fate::open);
    auto told = co_await client.operate("Consumer::advance", std::to_string(numbers.back()),
                                        consumer.advance(after));
    if (told) pair.order.removed(numbers.back(), Fate::done);
    co_return told || goes_on(told.error());
  }

  Task<bool> look_at_all(Client& client, Pair& pair, ring::Consumer& consumer) {
    auto collect = [](BytesView bytes, std::vector<std::uint64_t> found) {
      found.push_back(number_in(bytes));
      return found;
    };
    std::vector<std::uint64_t> none;
    auto folded = co_await client.operate("Consumer::fold", "", consumer.fold(collect, none));
    if (!folded) co_return goes_on(folded.error());
    std::size_t count = 0;
    std::optional<ring::Position> inside;  // an item, and so no place for a position
    std::function<Status(const ring::ItemView&)> visit = [&](const ring::ItemView& item) -> Status {
      ++count;
      const auto steps = (item.after.offset() - item.start.offset()) / 4;
      if (client.random().chance(0.3)) {
        inside =
            ring::Position::from_offset(item.start.offset() + 4 * client.random().below(steps));
        if (*inside == item.start) inside.reset();
      }
      return {};
    };
    if (!folded->second.empty()) pair.order.seen(folded->second);
    auto visited = co_await client.operate("Consumer::for_each", "", consumer.for_each(visit));
    if (!visited) co_return goes_on(visited.error());
    if (count < folded->second.size()) {
      simulation_.finding("for_each saw fewer items than fold before it");
    }
    if (inside) {
      const Status taken = co_await consumer.advance(*inside);
      if (taken) simulation_.finding("a position in the middle of an item was advanced to");
      if (!taken && taken.error().kind() != ErrorKind::invalid_argument) {
        co_return goes_on(taken.error());
      }
    }
    simulation_.surface().drawn("Consumer::damage");
    if (!consumer.damage().empty()) simulation_.finding("damage was passed over");
    co_return true;
  }

  Simulation& simulation_;
  std::deque<Pair> pairs_;
};

}  // namespace

std::unique_ptr<Workload> make_ring(Simulation& simulation, const Scenario& scenario) {
  return make_workload<RingWorkload>(simulation, scenario);
}

}  // namespace semper::simulation
