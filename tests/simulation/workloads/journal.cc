// Journals of both formats on disks whose power goes: what was acknowledged is performed at least
// once, in order, before anything that was pushed later.
#include "semper/ring/journal.h"

#include <algorithm>
#include <deque>

#include "checkers/ring_order.h"
#include "disks.h"
#include "workload.h"
#include "workloads.h"

namespace semper::simulation {
namespace {

using namespace std::chrono_literals;

struct Book {
  Book(Simulation& simulation, ring::Format of) : format(of), disk(make_disk(simulation, of)) {}

  const ring::Format format;
  testing::SimulatedDisk disk;
  Handles handles;
  testing::RingOrder order;
  std::uint64_t last_number = 0;
  std::uint64_t last_acknowledged = 0;
  std::uint64_t performed = 0;  // the last one, with success
  bool is_over = false;
};

class JournalWorkload final : public Workload {
 public:
  JournalWorkload(Simulation& simulation, const Scenario& scenario) : simulation_(simulation) {
    for (std::size_t i = 0; i < scenario.count("clients"); ++i) {
      const bool is_old = (scenario.seed + i) % 3 == 0;
      books_.emplace_back(simulation, is_old ? ring::Format::mirage_1_0 : ring::Format::semper_1);
    }
  }

  void serve(Host&, Process&) override {}
  std::vector<std::string> types() const override { return {}; }
  bool expects(ErrorKind kind) const override {
    return is_of_disks(kind) || kind == ErrorKind::not_found;
  }

  Task<void> client(Client& client) override {
    Book& book = books_[client.index()];
    while (!book.is_over) {
      BlockDevice& device = book.handles.open(book.disk);
      ring::JournalOptions options;
      options.format = book.format;
      options.retry_interval = 200ms;
      options.ring.env = simulation_.env();
      options.ring.memory_bytes = std::size_t{256} << 10;
      if (client.random().chance(0.3)) options.flush_interval = 100ms;
      ring::Journal::Perform perform = [this, &book](const std::vector<ring::Item>& items) {
        return perform_items(book, items);
      };
      auto journal = co_await client.operate("Journal::start", "",
                                             ring::Journal::start(device, perform, options));
      if (journal) co_await use(client, book, *journal);
      if (!journal && journal.error().kind() == ErrorKind::not_found) {
        if (book.last_acknowledged > 0) simulation_.finding("a ring with operations is gone");
        static_cast<void>(co_await client.operate(
            "ring::create", "anew", make_anew(device, book.format, simulation_.env())));
      }
      co_await client.think();
    }
  }

  Task<void> judge(Observer& observer) override {
    for (auto& book : books_) {
      if (book.is_over) book.order.drained();
      for (const auto& wrong : book.order.wrong()) {
        observer.finding("journal " + std::string(ring::to_string(book.format)) + ": " + wrong);
      }
    }
    co_return;
  }

 private:
  MonotonicTime soon(Duration span) { return simulation_.clock().after(span); }

  Async<void> perform_items(Book& book, std::vector<ring::Item> items) {
    std::vector<std::uint64_t> numbers;
    for (const auto& item : items) numbers.push_back(number_in(item.bytes));
    if (numbers.front() == 0) simulation_.finding("an operation is not as it was pushed");
    book.order.seen(numbers);
    static_cast<void>(co_await sleep_for(simulation_.clock(), 1ms));
    if (simulation_.random().chance(0.1)) {
      co_return fail(ErrorKind::io, "what performs is away");
    }
    if (simulation_.random().chance(0.05)) throw std::runtime_error("what performs throws");
    book.order.removed(numbers.back(), Fate::open);
    book.performed = std::max(book.performed, numbers.back());
    co_return Status{};
  }

  // `told`: whoever waited for operation `number`, or what was there before it, was told that it is
  // done.
  void expect_performed(const Book& book, std::uint64_t number, const Status& told,
                        const char* what) {
    if (!told || number <= book.performed) return;
    simulation_.finding(std::string(what) + " returned, and operation " + std::to_string(number) +
                        " was not performed; the last one is " + std::to_string(book.performed));
  }

  // While nothing is disturbed, what is performed in the end is performed soon.
  Status explained(Status told, Duration began, const char* what) {
    const bool is_calm = simulation_.last_disturbance() < began;
    if (!told && told.error().kind() == ErrorKind::timeout && is_calm) {
      simulation_.finding(std::string(what) + " timed out, and no fault explains it");
    }
    return told;
  }

  Task<void> use(Client& client, Book& book, ring::Journal& journal) {
    const std::uint64_t found = book.last_acknowledged;
    std::optional<ring::Journal::Waiter> last;
    std::uint64_t number_of_last = 0;
    // What was there does not wait for something new.
    if (client.random().chance(0.5)) {
      const Duration began = simulation_.elapsed();
      const Status replayed =
          explained(co_await client.operate("Journal::replayed", "", journal.replayed(soon(10s))),
                    began, "replayed()");
      expect_performed(book, found, replayed, "replayed()");
    }
    bool all = true;  // is pushed that shall be
    while (client.more()) {
      maybe_cut_power(client, book.disk);
      maybe_fail(client, book.disk);
      const auto kind = client.random().below(10);
      if (kind == 0) {
        const Status replayed =
            co_await client.operate("Journal::replayed", "", journal.replayed(soon(1s)));
        expect_performed(book, found, replayed, "replayed()");
      } else if (kind == 1) {
        all = false;
        break;
      } else {
        const std::uint64_t number = ++book.last_number;
        book.order.pushed(number, Fate::open);
        const Bytes item = make_item(number);
        auto waiter = co_await client.operate("Journal::push", std::to_string(number),
                                              journal.push(item, soon(3s)));
        book.order.pushed(number, fate_of_push(waiter));
        if (waiter) {
          last = *waiter;
          number_of_last = book.last_acknowledged = number;
        }
        if (last && client.random().chance(0.2)) {
          simulation_.surface().drawn("Waiter::flush");
          last->flush();
          const Status synced = co_await client.operate(
              "Waiter::sync", std::to_string(number_of_last), last->sync(soon(1s)));
          expect_performed(book, number_of_last, synced, "sync()");
        }
      }
      simulation_.surface().drawn("Journal::status");
      if (!journal.status()) {
        all = false;
        break;
      }
      co_await client.think();
    }
    // What was there, and what came: then it is over.
    if (all) {
      const Duration began = simulation_.elapsed();
      const Status replayed =
          explained(co_await client.operate("Journal::replayed", "", journal.replayed(soon(10s))),
                    began, "replayed()");
      expect_performed(book, found, replayed, "replayed()");
      all = replayed.has_value();
    }
    if (all && last) {
      const Duration began = simulation_.elapsed();
      const Status synced =
          explained(co_await client.operate("Waiter::sync", "the last", last->sync(soon(10s))),
                    began, "sync()");
      expect_performed(book, number_of_last, synced, "sync()");
      all = synced.has_value();
    }
    auto ended = co_await client.operate("Journal::shutdown", "", journal.shutdown(soon(10s)));
    book.is_over = all && ended;
  }

  Simulation& simulation_;
  std::deque<Book> books_;
};

}  // namespace

std::unique_ptr<Workload> make_journal(Simulation& simulation, const Scenario& scenario) {
  return make_workload<JournalWorkload>(simulation, scenario);
}

}  // namespace semper::simulation
