// Several hundred seeded streams over a server that refuses, hangs, cuts off, resumes or not, and
// readers that are slow or close at any time. The server publishes the numbers 1, 2, 3, ... as time
// goes on; its state is the last number. The model is the order of events, and that the numbers a
// reader has follow one another wherever no event says otherwise.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>

#include "semper/durable/stream.h"
#include "semper/testing/seed.h"
#include "semper/testing/simulated_run.h"

namespace semper {
namespace {

using namespace std::chrono_literals;
using testing::simulated_run;
using testing::SimulatedClock;
using Stream = StateStream<int, int>;

// Which event may follow which, and whether the delay is between them.
const std::map<std::string, std::string> kFollowers = {
    {"", "try"},
    {"try", "failed rpc up resumed gap"},
    {"failed", "try"},
    {"rpc", "try"},
    {"up", "state"},
    {"state", "updates lost gap"},
    {"updates", "updates lost gap"},
    {"resumed", "updates lost gap"},
    {"gap", "up lost"},
    {"lost", "try"},
};

class StreamWorld {
 public:
  explicit StreamWorld(std::uint64_t seed) : random_(seed) {
    options_.env = Env{&clock_, &random_};
    options_.resubscribe_delay = 2s;
    options_.max_buffered_updates = 1 + random_.below(20);
    options_.max_buffered_events = 4 + random_.below(5);
    options_.when_full = static_cast<WhenFull>(random_.below(3));
    if (random_.chance(0.5)) options_.dispatch_deadline = 1s;
    resumable_ = random_.chance(0.6);
    slow_reader_ms_ = random_.chance(0.5) ? 1 : 1500;
  }

  void run() {
    simulated_run(clock_, play());
    EXPECT_EQ(open_, 0) << "a connection was not released";
  }

  Duration pause(std::uint64_t most_ms) {
    return std::chrono::milliseconds(1 + random_.below(most_ms));
  }
  int published() const {
    return static_cast<int>((clock_.now() - SimulatedClock::kStart) / 100ms);
  }

 private:
  class Source final : public stream::UpdateSource<int> {
   public:
    Source(StreamWorld& world, int after) : world_(world), last_(after) { ++world_.open_; }
    ~Source() override { --world_.open_; }

    Async<std::optional<stream::UpdateBatch<int>>> next() override {
      do {
        SEMPER_CO_TRY_STATUS(co_await sleep_for(world_.clock_, world_.pause(300)));
      } while (world_.published() == last_);
      const auto fate = world_.random_.below(20);
      if (fate == 0) co_return fail(ErrorKind::io, "cut off");
      if (fate == 1) co_return std::nullopt;
      const int most = last_ + 1 + static_cast<int>(world_.random_.below(5));
      std::optional<stream::UpdateBatch<int>> batch;
      batch.emplace();
      while (last_ < std::min(most, world_.published())) batch->updates.push_back(++last_);
      if (world_.resumable_) batch->resume_token = std::to_string(last_);
      co_return batch;
    }

   private:
    StreamWorld& world_;
    int last_;
  };

  Task<Stream::Dispatched> dispatch(stream::DispatchRequest request) {
    if (random_.chance(0.5)) {
      auto slept = co_await sleep_for(clock_, pause(1600));
      if (!slept) co_return stream::failed_to_connect(slept.error());
    }
    const auto fate = random_.below(10);
    if (fate == 0) co_return stream::failed_to_connect(Error(ErrorKind::io, "nobody there"));
    if (fate == 1) co_return stream::rpc_error(Error(ErrorKind::io, "refused"));
    if (request.resume_after && random_.chance(0.7)) {
      const int after = std::stoi(*request.resume_after);
      Stream::Connection resumed(std::make_unique<Source>(*this, after));
      resumed.continuity = stream::Continuity::resumed;
      co_return resumed;
    }
    Stream::Connection fresh(std::make_unique<Source>(*this, published()), {}, published());
    if (resumable_) fresh.start_token = std::to_string(published());
    co_return fresh;
  }

  void follow(const std::string& event) {
    const auto& allowed = kFollowers.at(last_event_);
    EXPECT_NE((" " + allowed + " ").find(" " + event + " "), std::string::npos)
        << event << " after " << (last_event_.empty() ? "nothing" : last_event_);
    last_event_ = event;
  }

  void take(const Stream::Event& event) {
    std::visit([this](const auto& one) { take_one(one); }, event);
  }
  void take_one(const stream::AttemptingNewConnection&) { follow("try"); }
  void take_one(const stream::ConnectionSuccess<stream::NoMetadata>&) {
    EXPECT_FALSE(last_event_ == "try" && !position_is_lost_ && resumable_ && position_ >= 0)
        << "what could not resume did not say so";
    follow("up");
  }
  void take_one(const stream::ConnectionResumed<stream::NoMetadata>&) {
    EXPECT_FALSE(position_is_lost_) << "it resumes after dropped updates";
    follow("resumed");
  }
  void take_one(const stream::FailedToConnect&) { follow("failed"); }
  void take_one(const stream::RpcError&) { follow("rpc"); }
  void take_one(const stream::LostConnection&) { follow("lost"); }
  void take_one(const stream::Gap& gap) {
    follow("gap");
    position_is_lost_ = true;
    EXPECT_TRUE(gap.dropped_updates == 0 || options_.when_full == WhenFull::fresh_state);
  }
  void take_one(const stream::State<int>& state) {
    follow("state");
    EXPECT_GE(state.state, position_) << "the state went back";
    position_ = state.state;
    position_is_lost_ = false;
  }
  void take_one(const stream::UpdateBatch<int>& batch) {
    follow("updates");
    EXPECT_FALSE(batch.updates.empty());
    for (const int update : batch.updates) {
      EXPECT_EQ(update, position_ + 1) << "an update was lost or repeated";
      position_ = update;
    }
  }

  Task<void> close_later(Stream& stream) {
    static_cast<void>(co_await sleep_for(clock_, pause(40'000)));
    closed_at_ = clock_.now();
    stream.close();
  }

  Task<void> play() {
    const auto executor = co_await asio::this_coro::executor;
    auto dispatcher = [this](stream::DispatchRequest request) {
      return dispatch(std::move(request));
    };
    auto stream = Stream::create(executor, dispatcher, options_);
    asio::co_spawn(executor, close_later(stream), asio::detached);
    while (true) {
      auto event = co_await stream.next();
      if (!event) {
        const auto kind = event.error().kind();
        const bool failed = options_.when_full == WhenFull::fail && kind == ErrorKind::exhausted;
        EXPECT_TRUE(failed || kind == ErrorKind::closed) << event.error().to_string();
        EXPECT_TRUE(failed || closed_at_) << "it ended by itself";
        break;
      }
      EXPECT_FALSE(closed_at_) << "an event after the close";
      take(*event);
      const auto& now = stream.statistics();
      EXPECT_LE(now.buffered_events, options_.max_buffered_events);
      EXPECT_LT(now.buffered_updates, options_.max_buffered_updates + 5) << "less than one batch";
      if (random_.chance(0.3)) {
        static_cast<void>(co_await sleep_for(clock_, pause(slow_reader_ms_)));
      }
    }
    co_await stream.join();
    // The task that closes refers to the stream.
    while (!closed_at_) static_cast<void>(co_await sleep_for(clock_, 1s));
  }

  SimulatedClock clock_;
  SeededRandom random_;
  StreamOptions options_;
  bool resumable_ = false;
  std::uint64_t slow_reader_ms_ = 1;
  int open_ = 0;
  std::string last_event_;
  int position_ = -1;  // the last number the reader has
  bool position_is_lost_ = false;
  std::optional<MonotonicTime> closed_at_;
};

TEST(StreamInterleavings, no_seed_breaks_the_order_or_loses_an_update) {
  const auto first = testing::test_seed();
  for (std::uint64_t i = 0; i < 400; ++i) {
    StreamWorld(first + i).run();
    if (::testing::Test::HasFailure()) {
      FAIL() << "first with seed " << first + i << " (SEMPER_TEST_SEED replays from it)";
    }
  }
}

}  // namespace
}  // namespace semper
