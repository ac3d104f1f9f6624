// Sessions on one disk, one after another: both sides attach, work, and end, or the power goes
// while they work or attach. A model knows what was acknowledged, and the disk fails in one manner
// each.
//
// Nothing that was acknowledged may be gone without a word, come twice, or come out of order. Where
// the disk keeps what it has flushed, nothing may be damaged either, whatever else fails.
//
// A disk that loses what it has flushed does so once in a session. What was written last is then
// nobody's to miss: such a loss looks like a power loss before the flush. One write that goes
// astray can take itself and the one before, so the last two of each side are excused when the
// power goes.
#include <deque>

#include "env/sanitizer_test_support.h"
#include "ring/ring_test_support.h"
#include "semper/testing/seed.h"

namespace semper::ring {
namespace {

using namespace std::chrono_literals;
using semper::testing::DiskFaults;
using semper::testing::SimulatedDisk;
using testing::World;

constexpr int kSessionsOfADisk = 12;
constexpr int kStepsOfASession = 60;
constexpr std::size_t kItemBytes = 9000;
// The sanitizers make a session ten times as slow: they see a third of the disks that other builds
// see.
constexpr int kSlowdown = semper::testing::kSanitized ? 3 : 1;
const Bytes kNoNumber = "not counted";

// What was flushed does not stay as it is.
enum class Loss : char { none, misdirected_write, bit_rot };

struct Way {
  const char* name;
  DiskFaults faults;
  Loss loss = Loss::none;
  int disks = 150;

  friend std::ostream& operator<<(std::ostream& out, const Way& way) { return out << way.name; }
};

// What must come out, in order. An item whose call did not succeed may come or not.
class Model {
 public:
  void begun(int number) { items_.push_back({number, false}); }
  void refused() { items_.pop_back(); }
  void acknowledged() {
    items_.back().must_come = true;
    remember(last_put_, {items_.back()});
  }

  // Empty, or what is wrong.
  std::string popped(const std::vector<int>& numbers) {
    auto left = items_;
    for (const int number : numbers) {
      while (!left.empty() && left.front().number != number) {
        if (left.front().must_come) {
          return "item " + std::to_string(left.front().number) + " is gone, " +
                 std::to_string(number) + " came";
        }
        left.pop_front();
      }
      if (left.empty()) return "item " + std::to_string(number) + " came, unexpected";
      left.pop_front();
    }
    // What was passed over never comes any more.
    if (!numbers.empty()) {
      while (!items_.empty() && items_.front().number < numbers.front()) items_.pop_front();
    }
    after_ = std::move(left);
    return "";
  }
  std::string nothing_came() {
    for (const auto& item : items_) {
      if (item.must_come) return "item " + std::to_string(item.number) + " is gone, nothing came";
    }
    items_.clear();
    return "";
  }
  // Of what was popped last; before it is known to have succeeded, and then.
  void removing() {
    for (auto& item : items_) {
      if (after_.empty() || item.number < after_.front().number) item.must_come = false;
    }
  }
  void removed() {
    std::deque<Entry> gone;
    for (const auto& item : items_) {
      if (after_.empty() || item.number < after_.front().number) gone.push_back(item);
    }
    remember(last_removed_, std::move(gone));
    items_ = after_;
  }

  // What was written last may be lost, and what was removed last come again.
  void last_writes_are_lost() {
    for (auto& item : items_) {
      for (const auto& put : last_put_) {
        if (put.front().number == item.number) item.must_come = false;
      }
    }
    while (!last_removed_.empty()) {
      auto& gone = last_removed_.back();
      for (auto item = gone.rbegin(); item != gone.rend(); ++item) {
        items_.push_front({item->number, false});
      }
      last_removed_.pop_back();
    }
  }

 private:
  struct Entry {
    int number;
    bool must_come;
  };
  static void remember(std::deque<std::deque<Entry>>& last, std::deque<Entry> one) {
    last.push_back(std::move(one));
    if (last.size() > 2) last.pop_front();
  }

  std::deque<Entry> items_;
  std::deque<Entry> after_;
  std::deque<std::deque<Entry>> last_put_;
  std::deque<std::deque<Entry>> last_removed_;
};

class Sessions {
 public:
  Sessions(const Way& way, std::uint64_t seed)
      : way_(way),
        disk_random_(seed),
        draws_(seed * 7919),
        disk_({.size = 192 << 10, .sector_size = seed % 2 == 0 ? 4096u : 512u},
              Env{&clock_, &disk_random_}) {
    const auto device = disk_.open();
    CreateOptions options;
    options.env = env();
    EXPECT_OK(semper::testing::simulated_run(clock_, create(*device, options)));
  }

  // Empty, or the fault; `damage` where the ring said so itself.
  std::string run() {
    for (int session = 0; session < kSessionsOfADisk && fault_.empty() && damage_.empty();
         ++session) {
      one(session);
    }
    return fault_;
  }
  const std::string& damage() const { return damage_; }
  int attached() const { return attached_; }

 private:
  Env env() { return {&clock_, &disk_random_}; }
  std::uint64_t draw(std::uint64_t below) { return draws_.next() % below; }

  // Of what was flushed, so far.
  std::uint64_t losses() { return disk_.happened()["scripted_write_fault"] + rotten_; }

  void one(int session) {
    const std::uint64_t faults_before = losses();
    DiskFaults faults = way_.faults;
    faults.delay = draw(2) == 0 ? 0 : 0.5;
    faults.garbage_at_crash = draw(2) == 0 ? 0 : 0.1;
    disk_.set_faults(faults);
    if (way_.loss == Loss::misdirected_write &&
        disk_.happened()["scripted_write_fault"] == astray_) {
      ++astray_;
      disk_.fail_write(1 + draw(150), semper::testing::WriteFault::misdirected);
    }
    rots_at_ = way_.loss == Loss::bit_rot ? static_cast<int>(draw(kStepsOfASession)) : -1;
    const bool crashes = draw(3) != 0;
    // Every third session's power goes early, while the sides attach.
    const auto power_stays = std::chrono::microseconds(draw(session % 3 == 0 ? 30'000 : 600'000));
    const MonotonicTime limit = crashes ? clock_.now() + power_stays : kNever;
    {
      const auto producer_device = disk_.open();
      const auto consumer_device = disk_.open();
      {
        asio::io_context context(1);
        bool done = false;
        asio::co_spawn(context, work(*producer_device, *consumer_device),
                       [&](std::exception_ptr thrown) {
                         EXPECT_FALSE(thrown);
                         done = true;
                       });
        while (!done) {
          context.restart();
          context.poll();
          if (!done && !clock_.advance_to_next_timer(limit)) break;
        }
        if (crashes) disk_.power_cycle();
      }
      // What a producer had begun to write ends before its device does.
      while (clock_.advance_to_next_timer(clock_.now() + 1s)) {
      }
    }
    // Nothing else is excused: see docs/guarantees.md.
    if (faults_before != losses()) model_.last_writes_are_lost();
  }

  // Of a sector that was written: pointers and the like more often than items.
  void rot() {
    const std::uint64_t sectors = disk_.size() / disk_.sector_size();
    const std::uint64_t head = std::uint64_t{8} * 4096 / disk_.sector_size();
    disk_.flip_bit(draw(draw(3) == 0 ? head : sectors), draw(std::uint64_t{8} * 512));
    ++rotten_;
  }

  Task<void> work(BlockDevice& producer_device, BlockDevice& consumer_device) {
    AttachOptions options;
    options.memory_bytes = std::size_t{1} << 20;
    options.env = env();
    auto producer = co_await Producer::attach(producer_device, options);
    if (!producer) co_return note(producer.error());
    auto consumer = co_await Consumer::attach(consumer_device, options);
    if (!consumer) co_return note(consumer.error());
    ++attached_;
    for (int step = 0; step < kStepsOfASession && fault_.empty(); ++step) {
      if (step == rots_at_) rot();
      bool goes_on = false;
      if (draw(2) == 0) {
        goes_on = co_await put(*producer);
      } else {
        goes_on = co_await take(*consumer);
      }
      if (!goes_on) co_return;
    }
  }

  Task<bool> put(Producer& producer) {
    const Bytes item = std::to_string(++number_) + "." + std::string(draw(kItemBytes), 'x');
    model_.begun(number_);
    Result<Position> end;
    const bool pushes = draw(2) == 0;
    if (pushes) {
      end = co_await producer.push(item);
    } else {
      end = co_await producer.publish(item);
    }
    if (!end) {
      if (end.error().kind() != ErrorKind::retry) co_return false;
      model_.refused();
      co_return true;
    }
    Status exposed;
    if (pushes && draw(2) == 0) {
      exposed = co_await producer.advance(*end);
    } else if (pushes) {  // what comes behind it exposes it too
      const auto behind = co_await producer.publish(kNoNumber);
      if (!behind) exposed = fail(behind.error());
    }
    if (!exposed) co_return false;
    model_.acknowledged();
    co_return true;
  }

  Task<bool> take(Consumer& consumer) {
    const PopLimits limits{.max_items = 1 + static_cast<std::size_t>(draw(4))};
    auto items = co_await consumer.pop_many({}, limits);
    if (!items) {
      if (items.error().kind() == ErrorKind::retry) {
        fault_ = model_.nothing_came();
        co_return fault_.empty();
      }
      note(items.error());
      co_return false;
    }
    std::vector<int> numbers;
    for (const Item& item : *items) {
      if (item.bytes != kNoNumber) numbers.push_back(std::atoi(item.bytes.c_str()));
    }
    fault_ = model_.popped(numbers);
    if (!fault_.empty()) co_return false;
    model_.removing();
    const Status removed = co_await consumer.advance(items->back().after);
    if (removed) model_.removed();
    co_return removed.has_value();
  }

  void note(const Error& error) {
    if (error.kind() == ErrorKind::corrupt) damage_ = error.to_string();
  }

  const Way& way_;
  semper::testing::SimulatedClock clock_;
  SeededRandom disk_random_;
  SeededRandom draws_;
  SimulatedDisk disk_;
  Model model_;
  int number_ = 0;
  int attached_ = 0;
  int rots_at_ = -1;
  std::uint64_t astray_ = 0;
  std::uint64_t rotten_ = 0;
  std::string fault_;
  std::string damage_;
};

class RingSessions : public ::testing::TestWithParam<Way> {};

INSTANTIATE_TEST_SUITE_P(
    , RingSessions,
    ::testing::Values(Way{"power_losses", {}},
                      Way{"reads_and_writes_that_fail",
                          {.read_error = 0.03, .write_error = 0.03, .write_no_room = 0.03}},
                      Way{"flushes_that_fail", {.flush_error = 0.03}},
                      Way{"flushes_that_often_fail", {.flush_error = 0.15}},
                      Way{"misdirected_writes", {}, Loss::misdirected_write, 600},
                      Way{"bits_that_rot", {}, Loss::bit_rot, 600}),
    [](const auto& instance) { return std::string(instance.param.name); });

TEST_P(RingSessions, lose_nothing_that_was_acknowledged_without_a_word) {
  const Way& way = GetParam();
  const std::uint64_t first = semper::testing::test_seed() % 1'000'000'000;
  int attached = 0;
  int damaged = 0;
  const int disks = way.disks / kSlowdown;
  for (int disk = 0; disk < disks; ++disk) {
    const std::uint64_t seed = first + static_cast<std::uint64_t>(disk);
    Sessions sessions(way, seed);
    ASSERT_EQ(sessions.run(), "") << "seed " << seed;
    attached += sessions.attached();
    if (sessions.damage().empty()) continue;
    ++damaged;
    ASSERT_NE(way.loss, Loss::none) << "seed " << seed << ": " << sessions.damage();
  }
  EXPECT_GT(attached, disks) << "tests nothing otherwise";
  if (way.loss != Loss::none) {
    EXPECT_GT(damaged, 0) << "tests nothing otherwise";
  }
}

}  // namespace
}  // namespace semper::ring
