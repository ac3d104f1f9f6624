// The committer on a model of etcd: what it sends, and what becomes of it when answers are lost.
#include "backends/etcd/committer.h"

#include <gtest/gtest.h>

#include <set>

#include "backends/etcd/model_kv_test_support.h"
#include "backends/etcd/mutations_test_support.h"
#include "semper/testing/seed.h"
#include "semper/testing/simulated_run.h"

namespace semper::etcd {
namespace {

using namespace std::chrono_literals;
using testing::ModelFaults;
using testing::ModelKv;

// What one process has of a store on the model.
struct Process {
  // Its committer reaches the model `through` another Kv, where there is one.
  Process(ModelKv& on, Env env, Executor executor, Kv* through = nullptr)
      : kv(on), stamps(*env.clock) {
    Committer::Context context;
    context.kv = through != nullptr ? through : &kv;
    context.layout = &layout;
    context.env = env;
    context.executor = std::move(executor);
    context.statistics = &statistics;
    context.clock = &stamps;
    context.versions = &versions;
    context.reads = &reads;
    committer = std::make_shared<Committer>(std::move(context));
  }

  // As a snapshot does.
  Version begin() {
    const Version version = load_big_endian_u64(*kv.value(layout.stamp()));
    stamps.saw(version);
    versions.add({version, kv.modified(layout.stamp()), nullptr});
    return version;
  }
  std::optional<Bytes> get(const Bytes& key) const { return kv.value(layout.stored(key)); }

  ModelKv& kv;
  Layout layout{"t/"};
  Statistics statistics;
  StampClock stamps;
  VersionMap versions;
  ReadMemory reads;
  std::shared_ptr<Committer> committer;
};

CommitRequest writing(std::vector<Mutation> mutations) {
  CommitRequest request;
  request.mutations = std::move(mutations);
  return request;
}

Mutation stamped(const Bytes& prefix, Bytes value) {
  return {Mutation::Type::set_versionstamped_key, prefix + Bytes(10, '\0'), std::move(value),
          static_cast<std::uint32_t>(prefix.size())};
}

Version version_of(const Result<CommitReceipt>& receipt) {
  return receipt ? receipt->version : 0;
}

void expect_error(const Result<CommitReceipt>& receipt, ErrorKind kind) {
  ASSERT_FALSE(receipt) << "an error was expected, and there was none";
  EXPECT_EQ(receipt.error().kind(), kind) << receipt.error().to_string();
}

class EtcdCommitter : public ::testing::Test {
 protected:
  EtcdCommitter() {
    const Layout layout("t/");
    kv.put(layout.stamp(), Bytes(sizeof(Version), '\0'));
  }

  template <class F>
  void run(F body) {
    semper::testing::simulated_run(clock, [](EtcdCommitter& self, F inner) -> Task<void> {
      const auto executor = co_await asio::this_coro::executor;
      Process first(self.kv, self.env, executor);
      Process second(self.kv, self.env, executor);
      co_await inner(first, second);
    }(*this, std::move(body)));
  }

  // `count` coroutines at once.
  static Task<void> in_parallel(int count, std::function<Task<void>(int)> body) {
    auto left = std::make_shared<int>(count);
    OneShot<std::monostate> done;
    const auto executor = co_await asio::this_coro::executor;
    for (int i = 0; i < count; ++i) {
      asio::co_spawn(executor, body(i), [left, done](std::exception_ptr) mutable {
        if (--*left == 0) done.set({});
      });
    }
    static_cast<void>(co_await done.wait());
  }

  semper::testing::SimulatedClock clock;
  SeededRandom random{semper::testing::test_seed()};
  Env env{&clock, &random};
  ModelKv kv{env, ModelFaults{}};
};

TEST_F(EtcdCommitter, transactions_that_have_nothing_in_common_share_a_request) {
  run([&](Process& process, Process&) -> Task<void> {
    std::set<Version> versions;
    co_await in_parallel(20, [&](int i) -> Task<void> {
      auto request = writing({set("key" + std::to_string(i), "v")});
      const auto receipt = co_await process.committer->commit(std::move(request));
      EXPECT_TRUE(receipt);
      if (receipt) versions.insert(receipt->version);
    });
    EXPECT_EQ(versions.size(), 20u) << "each has a version of its own";
    const auto& statistics = process.statistics;
    EXPECT_LE(statistics.requests.load() - statistics.stamps_overtaken.load(), 3)
        << "one on each lane, and all the others";
    EXPECT_EQ(load_big_endian_u64(*kv.value(process.layout.stamp())), *versions.rbegin());
  });
}

TEST_F(EtcdCommitter, a_request_is_made_while_another_is_under_way_and_no_third_one) {
  run([&](Process& process, Process&) -> Task<void> {
    co_await in_parallel(40, [&](int i) -> Task<void> {
      for (int round = 0; round < 10; ++round) {
        auto request = writing({set("key" + std::to_string(i), std::to_string(round))});
        EXPECT_TRUE(co_await process.committer->commit(std::move(request)));
      }
    });
    EXPECT_EQ(kv.most_writes_at_once(), kLanes);
    EXPECT_EQ(process.get("key7"), "9");
    EXPECT_TRUE(co_await process.committer->close());
    EXPECT_TRUE(kv.keys(process.layout.lanes()).empty()) << "each lane is given up";
  });
}

TEST_F(EtcdCommitter, what_meets_a_request_under_way_waits_for_it) {
  run([&](Process& process, Process&) -> Task<void> {
    auto first = writing({add("n", 1)});
    EXPECT_TRUE(co_await process.committer->commit(std::move(first)));
    co_await in_parallel(20, [&](int i) -> Task<void> {
      // Every other one has nothing to do with the others, and goes on the other lane.
      auto request = i % 2 == 0 ? writing({add("n", 1)}) : writing({set(std::to_string(i), "")});
      EXPECT_TRUE(co_await process.committer->commit(std::move(request)));
    });
    EXPECT_EQ(load_little_endian_u64(*process.get("n")), 11u);
    EXPECT_EQ(process.statistics.sums_overtaken.load(), 0) << "two added to one number at once";
    EXPECT_EQ(kv.most_writes_at_once(), kLanes);
  });
}

// One holds only if nobody commits between the look and the request.
TEST_F(EtcdCommitter, commits_that_are_validated_go_alone_and_are_not_starved) {
  constexpr int kValidated = 20;
  run([&](Process& process, Process&) -> Task<void> {
    bool is_over = false;
    co_await in_parallel(9, [&](int i) -> Task<void> {
      for (int round = 0; i == 0 && round < kValidated; ++round) {
        CommitRequest request = writing({set("decided", std::to_string(round))});
        request.read_version = process.begin();
        for (int key = 0; key < 300; ++key) {
          request.reads.push_back({KeyRange::point("absent" + std::to_string(key)), 0});
        }
        EXPECT_TRUE(co_await process.committer->commit(std::move(request)));
      }
      is_over = is_over || i == 0;
      for (int round = 0; round < 10'000 && !is_over; ++round) {
        auto request = writing({set("key" + std::to_string(i), std::to_string(round))});
        EXPECT_TRUE(co_await process.committer->commit(std::move(request)));
      }
      EXPECT_TRUE(is_over) << "others always came first";
    });
    EXPECT_EQ(process.statistics.validations.load(), kValidated);
  });
}

TEST_F(EtcdCommitter, writers_of_one_key_take_turns_and_all_succeed) {
  run([&](Process& process, Process&) -> Task<void> {
    Version last = 0;
    co_await in_parallel(5, [&](int i) -> Task<void> {
      auto request = writing({set("key", std::to_string(i))});
      const auto receipt = co_await process.committer->commit(std::move(request));
      EXPECT_TRUE(receipt);
      EXPECT_GT(version_of(receipt), last);
      last = version_of(receipt);
    });
    EXPECT_EQ(process.statistics.requests.load(), 5);
    EXPECT_EQ(process.get("key"), "4");
  });
}

TEST_F(EtcdCommitter, a_read_that_no_longer_holds_is_a_conflict_and_its_neighbours_succeed) {
  run([&](Process& process, Process& other) -> Task<void> {
    CommitRequest stale = writing({set("decided", "")});
    stale.read_version = process.begin();
    stale.reads.push_back({KeyRange::point("seen"), 0});
    auto change = writing({set("seen", "1")});
    EXPECT_TRUE(co_await other.committer->commit(std::move(change)));
    co_await in_parallel(3, [&](int i) -> Task<void> {
      auto request = i == 1 ? stale : writing({set("free" + std::to_string(i), "")});
      const auto receipt = co_await process.committer->commit(std::move(request));
      if (i == 1) {
        expect_error(receipt, ErrorKind::conflict);
      } else {
        EXPECT_TRUE(receipt);
      }
    });
    EXPECT_EQ(process.get("decided"), std::nullopt);
    EXPECT_EQ(process.get("free0"), "");
    EXPECT_EQ(process.get("free2"), "");
  });
}

TEST_F(EtcdCommitter, a_transaction_of_a_request_begins_exactly_after_itself) {
  run([&](Process& process, Process&) -> Task<void> {
    // a and b in one request; whoever begins at the version of the first does not know of the
    // second.
    std::vector<Version> versions(2);
    co_await in_parallel(2 + static_cast<int>(kLanes), [&](int i) -> Task<void> {
      // The first of each lane goes alone, so that the others meet.
      const int place = i - static_cast<int>(kLanes);
      auto request = writing({set(place < 0 ? std::to_string(i) : place == 0 ? "a" : "b", "1")});
      const auto receipt = co_await process.committer->commit(std::move(request));
      EXPECT_TRUE(receipt);
      if (receipt && place >= 0) versions[static_cast<std::size_t>(place)] = receipt->version;
    });
    EXPECT_EQ(versions[1], versions[0] + 1);
    const auto begun_at = [&](Version version, Bytes read) {
      CommitRequest request = writing({set("result", "")});
      request.read_version = version;
      request.reads.push_back({KeyRange::point(read), 1});
      return request;
    };
    auto own = begun_at(versions[0], "a");
    EXPECT_TRUE(co_await process.committer->commit(std::move(own)));
    auto later = begun_at(versions[0], "b");
    EXPECT_FALSE(co_await process.committer->commit(std::move(later)));
    auto both = begun_at(versions[1], "a");
    EXPECT_TRUE(co_await process.committer->commit(std::move(both)));
  });
}

TEST_F(EtcdCommitter, adding_costs_a_known_number_no_read_and_a_shared_one_no_conflict) {
  run([&](Process& one, Process& two) -> Task<void> {
    for (int i = 0; i < 5; ++i) {
      auto sum = writing({add("n", 1)});
      EXPECT_TRUE(co_await one.committer->commit(std::move(sum)));
    }
    EXPECT_EQ(one.statistics.requests.load(), 5);
    for (int i = 0; i < 5; ++i) {
      auto& process = i % 2 == 0 ? two : one;
      auto sum = writing({add("n", 10)});
      EXPECT_TRUE(co_await process.committer->commit(std::move(sum)));
    }
    EXPECT_EQ(load_little_endian_u64(*one.get("n")), 55u);
    EXPECT_GT(two.statistics.sums_overtaken.load(), 0);
  });
}

TEST_F(EtcdCommitter, more_reads_than_etcd_takes_conditions_are_read_again) {
  run([&](Process& process, Process& other) -> Task<void> {
    const auto reading_much = [&](Version version) {
      CommitRequest request = writing({set("decided", ""), add("sum", 3)});
      request.read_version = version;
      for (int i = 0; i < 300; ++i) {
        request.reads.push_back({KeyRange::point("key" + std::to_string(i)), 0});
      }
      request.reads.push_back({{"row/", "row0"}, 2});
      return request;
    };
    auto rows = writing({set("row/1", ""), set("row/2", "")});
    EXPECT_TRUE(co_await other.committer->commit(std::move(rows)));
    auto good = reading_much(process.begin());
    EXPECT_TRUE(co_await process.committer->commit(std::move(good)));
    EXPECT_EQ(process.statistics.validations.load(), 1);
    auto removal = writing({{Mutation::Type::clear, "row/1", {}, 0}});
    const Version before = process.begin();
    EXPECT_TRUE(co_await other.committer->commit(std::move(removal)));
    auto bad = reading_much(before);
    const auto refused = co_await process.committer->commit(std::move(bad));
    expect_error(refused, ErrorKind::conflict);
    EXPECT_EQ(load_little_endian_u64(*process.get("sum")), 3u);
  });
}

TEST_F(EtcdCommitter, a_thousand_writes_and_holes_in_a_cleared_range_fit_into_one_request) {
  run([&](Process& process, Process&) -> Task<void> {
    auto first = writing({set("k/old", ""), set("k/older", "")});
    EXPECT_TRUE(co_await process.committer->commit(std::move(first)));
    std::vector<Mutation> mutations;
    mutations.push_back({Mutation::Type::clear_range, "k/", "k0", 0});
    for (int i = 0; i < 1'000; ++i) mutations.push_back(set("k/" + std::to_string(i), "new"));
    auto request = writing(std::move(mutations));
    EXPECT_TRUE(co_await process.committer->commit(std::move(request)));
    EXPECT_EQ(kv.keys({process.layout.stored("k/"), process.layout.stored("k0")}).size(), 1'000u);
    EXPECT_EQ(process.statistics.requests.load(), 2);
  });
}

TEST_F(EtcdCommitter, a_full_cluster_is_an_error_and_a_write_that_it_took_is_none) {
  run([&](Process& process, Process&) -> Task<void> {
    auto before = writing({set("before", "")});
    EXPECT_TRUE(co_await process.committer->commit(std::move(before)));
    kv.fill_up(true);
    auto taken = writing({set("taken", "")});
    EXPECT_TRUE(co_await process.committer->commit(std::move(taken)))
        << "etcd applies the write that reaches the quota, and then complains";
    kv.fill_up(false);
    auto refused = writing({set("refused", "")});
    const auto error = co_await process.committer->commit(std::move(refused));
    expect_error(error, ErrorKind::exhausted);
    kv.make_room();
    auto after = writing({set("after", "")});
    EXPECT_TRUE(co_await process.committer->commit(std::move(after)));
    EXPECT_EQ(process.get("refused"), std::nullopt);
    EXPECT_EQ(process.get("after"), "");
  });
}

TEST_F(EtcdCommitter, a_cluster_that_takes_nothing_gives_io_and_applies_nothing_later) {
  run([&](Process& process, Process&) -> Task<void> {
    kv.set_faults({.refused = 1});
    auto request = writing({set("key", "")});
    const auto error = co_await process.committer->commit(std::move(request));
    expect_error(error, ErrorKind::io);
    kv.set_faults({});
    static_cast<void>(co_await sleep_for(clock, 1min));
    EXPECT_EQ(process.get("key"), std::nullopt);
  });
}

TEST_F(EtcdCommitter, an_outcome_that_nobody_can_tell_is_not_guessed) {
  run([&](Process& process, Process&) -> Task<void> {
    auto before = writing({set("before", "")});
    EXPECT_TRUE(co_await process.committer->commit(std::move(before)));
    kv.set_faults({.lost_before = 1});
    auto request = writing({set("key", "")});
    const auto error = co_await process.committer->commit(std::move(request));
    expect_error(error, ErrorKind::outcome_unknown);
    kv.set_faults({});
    auto after = writing({set("after", "")});
    EXPECT_TRUE(co_await process.committer->commit(std::move(after)));
  });
}

TEST_F(EtcdCommitter, a_lane_that_was_swept_is_made_anew_and_closing_leaves_none) {
  run([&](Process& process, Process& other) -> Task<void> {
    auto first = writing({set("a", "")});
    EXPECT_TRUE(co_await process.committer->commit(std::move(first)));
    clock.jump_wall_time(25h);
    auto later = writing({set("b", "")});
    EXPECT_TRUE(co_await other.committer->commit(std::move(later)));
    EXPECT_EQ(kv.keys(process.layout.lanes()).size(), 2u);
    EXPECT_TRUE(co_await sweep_lanes(kv, other.layout));
    EXPECT_EQ(kv.keys(process.layout.lanes()).size(), 1u);
    auto again = writing({set("c", "")});
    EXPECT_TRUE(co_await process.committer->commit(std::move(again)));
    EXPECT_TRUE(co_await process.committer->close());
    EXPECT_TRUE(co_await other.committer->close());
    EXPECT_TRUE(kv.keys(process.layout.lanes()).empty());
    auto closed = writing({set("d", "")});
    const auto error = co_await process.committer->commit(std::move(closed));
    expect_error(error, ErrorKind::closed);
  });
}

// One write, when it is told to: carried out, its answer spoiled. Before it is asked what became of
// it, somebody commits whose calendar is ahead, and somebody sweeps.
class SweptMeanwhile final : public Kv {
 public:
  enum class Answer { lost, garbled };
  SweptMeanwhile(ModelKv& model, std::chrono::hours ahead, Answer answer)
      : model_(model), ahead_(ahead), answer_(answer) {}

  void spoil_next() { spoils_ = true; }

  Async<pb::TxnResponse> read(const pb::TxnRequest& request) override {
    return model_.read(request);
  }
  Task<Written<pb::TxnResponse>> write(const pb::TxnRequest& request) override {
    auto answer = co_await model_.write(request);
    if (!std::exchange(spoils_, false)) co_return answer;
    const Layout layout("t/");
    const Version now = load_big_endian_u64(*model_.value(layout.stamp()));
    Bytes later;
    append_big_endian_u64(later,
                          now + static_cast<Version>(std::chrono::microseconds(ahead_).count()));
    model_.put(layout.stamp(), later);
    EXPECT_TRUE(co_await sweep_lanes(model_, layout));
    if (answer_ == Answer::lost) {
      const Error error(ErrorKind::io, "the answer was lost");
      co_return tl::unexpected(WriteFailure{error, Fate::unknown});
    }
    answer->clear_responses();
    co_return answer;
  }

 private:
  ModelKv& model_;
  const std::chrono::hours ahead_;
  const Answer answer_;
  bool spoils_ = false;
};

class EtcdSweptLane : public EtcdCommitter,
                      public ::testing::WithParamInterface<SweptMeanwhile::Answer> {
 protected:
  // A second addition of 1 meets it. What the number is then, and what the caller is told.
  void add_twice(std::chrono::hours ahead, std::uint64_t& number, Result<CommitReceipt>& told) {
    run([&, ahead](Process&, Process&) -> Task<void> {
      SweptMeanwhile through(kv, ahead, GetParam());
      const auto executor = co_await asio::this_coro::executor;
      Process process(kv, env, executor, &through);
      auto first = writing({add("n", 1)});
      EXPECT_TRUE(co_await process.committer->commit(std::move(first)));
      through.spoil_next();
      auto second = writing({add("n", 1)});
      told = co_await process.committer->commit(std::move(second));
      number = load_little_endian_u64(*process.get("n"));
      auto third = writing({set("later", "")});
      EXPECT_TRUE(co_await process.committer->commit(std::move(third)));
    });
  }
};

INSTANTIATE_TEST_SUITE_P(answers, EtcdSweptLane,
                         ::testing::Values(SweptMeanwhile::Answer::lost,
                                           SweptMeanwhile::Answer::garbled),
                         [](const auto& one) {
                           return one.param == SweptMeanwhile::Answer::lost ? "lost" : "garbled";
                         });

TEST_P(EtcdSweptLane, tells_nothing_and_what_it_was_asked_about_is_not_sent_again) {
  std::uint64_t number = 0;
  Result<CommitReceipt> told = CommitReceipt{};
  add_twice(25h, number, told);
  EXPECT_EQ(number, 2u) << "it was applied once more";
  expect_error(told, ErrorKind::outcome_unknown);
}

TEST_P(EtcdSweptLane, one_that_was_not_swept_yet_tells_the_outcome) {
  std::uint64_t number = 0;
  Result<CommitReceipt> told = CommitReceipt{};
  add_twice(23h, number, told);
  EXPECT_EQ(number, 2u);
  EXPECT_TRUE(told) << told.error().to_string();
}

TEST_F(EtcdCommitter, a_row_that_comes_into_a_range_that_was_read_is_a_conflict) {
  run([&](Process& process, Process& other) -> Task<void> {
    for (const char* row : {"row/", "row/1", "row/z"}) {
      CommitRequest stale = writing({set("decided", row)});
      stale.read_version = process.begin();
      stale.reads.push_back({{"row/", "row0"}, 0});
      auto comes = writing({set(row, "")});
      EXPECT_TRUE(co_await other.committer->commit(std::move(comes)));
      const auto refused = co_await process.committer->commit(std::move(stale));
      expect_error(refused, ErrorKind::conflict);
      auto goes = writing({{Mutation::Type::clear, row, {}, 0}});
      EXPECT_TRUE(co_await other.committer->commit(std::move(goes)));
    }
    EXPECT_EQ(process.get("decided"), std::nullopt);
  });
}

TEST_F(EtcdCommitter, what_another_process_declares_as_written_conflicts_with_earlier_readers) {
  run([&](Process& process, Process& other) -> Task<void> {
    auto first = writing({set("a", "")});
    EXPECT_TRUE(co_await process.committer->commit(std::move(first)));
    const auto reads = [&](Bytes key) {
      CommitRequest request = writing({set("decided by " + key, "")});
      request.read_version = process.begin();
      request.reads.push_back({KeyRange::point(key), 0});
      return request;
    };
    auto before = reads("seen");
    auto elsewhere = reads("unseen");
    CommitRequest declares;
    declares.write_conflicts.push_back(KeyRange::point("seen"));
    EXPECT_TRUE(co_await other.committer->commit(std::move(declares)));
    const auto refused = co_await process.committer->commit(std::move(before));
    expect_error(refused, ErrorKind::conflict);
    EXPECT_TRUE(co_await process.committer->commit(std::move(elsewhere)));
    auto after = reads("seen");
    EXPECT_TRUE(co_await process.committer->commit(std::move(after)));
  });
}

// Two processes under every fault at once: nothing that was answered is lost, nothing is applied
// twice, and stamps are in the order of commits.
TEST_F(EtcdCommitter, under_lost_late_and_refused_requests_every_effect_happens_once) {
  constexpr int kWorkers = 12;
  constexpr int kRounds = 40;
  kv.set_faults({.refused = 0.05, .lost_before = 0.1, .lost_after = 0.1, .late = 0.1});
  run([&](Process& one, Process& two) -> Task<void> {
    std::uint64_t sums = 0;
    std::uint64_t increments = 0;
    std::size_t appended = 0;
    std::map<Version, Version> began;  // version of a commit -> version it began at
    co_await in_parallel(kWorkers, [&](int worker) -> Task<void> {
      Process& process = worker % 2 == 0 ? one : two;
      for (int round = 0; round < kRounds; ++round) {
        const Version begun = process.begin();
        const Bytes counter = "counter" + std::to_string(worker % 3);
        const auto count = process.get(counter);
        // Some that nothing but their stamps hold in order.
        const bool adds = round % 3 != 1;
        CommitRequest request = writing({stamped("log/", "")});
        if (adds) request.mutations.push_back(add("sum", 1));
        if (round % 2 == 0) {
          request.read_version = begun;
          request.reads.push_back({KeyRange::point(counter), count ? 1U : 0U});
          request.mutations.push_back(
              set(counter, std::to_string(count ? std::stoi(*count) + 1 : 1)));
        }
        const auto receipt = co_await process.committer->commit(std::move(request));
        if (!receipt) {
          EXPECT_EQ(receipt.error().kind(), ErrorKind::conflict) << receipt.error().to_string();
          continue;
        }
        EXPECT_GT(receipt->version, begun);
        EXPECT_TRUE(began.emplace(receipt->version, begun).second) << "a version was given twice";
        sums += adds ? 1 : 0;
        ++appended;
        increments += round % 2 == 0 ? 1 : 0;
      }
    });
    kv.set_faults({});
    static_cast<void>(co_await sleep_for(clock, 1min));  // what is late arrives
    EXPECT_EQ(load_little_endian_u64(*one.get("sum")), sums);
    std::uint64_t counted = 0;
    for (int i = 0; i < 3; ++i) {
      const auto value = one.get("counter" + std::to_string(i));
      counted += value ? static_cast<std::uint64_t>(std::stoi(*value)) : 0;
    }
    EXPECT_EQ(counted, increments);
    const auto log = kv.keys({one.layout.stored("log/"), one.layout.stored("log0")});
    EXPECT_EQ(log.size(), appended);
    Revision before = 0;
    for (const auto& key : log) {
      EXPECT_GT(kv.modified(key), before) << "stamps are not in the order of revisions";
      before = kv.modified(key) - 1;  // several of one request share a revision
    }
    EXPECT_GT(one.statistics.outcomes_found.load(), 0);
  });
}

}  // namespace
}  // namespace semper::etcd
