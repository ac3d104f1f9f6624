// What needs a target with limits or versions of its own, on named memory: stores in this process.
#include "store/copy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <sstream>

#include "command_line/cli.h"
#include "semper/env/scheduler.h"
#include "semper/open_store.h"
#include "store/copy_target.h"

namespace semper::cli {
namespace {

using ::testing::HasSubstr;

class StoreCopy : public ::testing::Test {
 protected:
  // Stores as small as the test's name says; they live as long as the test holds them.
  Store open(const std::string& url) {
    auto store = scheduler_.block_on(open_store(url));
    EXPECT_TRUE(store) << store.error().to_string();
    return *store;
  }
  void SetUp() override {
    const std::string name = ::testing::UnitTest::GetInstance()->current_test_info()->name();
    from_ = "memory:from-" + name;
    to_ = "memory:to-" + name;
    source_ = open(from_);
  }

  void set(const Store& store, const Bytes& key, const Bytes& value) {
    const auto write = [&](Transaction& transaction) -> Async<void> {
      transaction.set(key, value);
      co_return Status{};
    };
    EXPECT_TRUE(scheduler_.block_on(store.transact(write)));
  }
  std::map<Bytes, Bytes> rows(const Store& store, const Bytes& end = "\xff") {
    const KeyRange range("", end);
    const auto page = scheduler_.block_on(
        store.transact([&](Transaction& transaction) { return transaction.get_range(range); }));
    std::map<Bytes, Bytes> all;
    for (const auto& row : page->rows) all.emplace(row.key, row.value);
    return all;
  }

  struct Ran {
    int code;
    std::string out;
    std::string err;
  };
  Ran copy(std::vector<std::string> options = {}) {
    Interrupt interrupt;
    std::istringstream in;
    std::ostringstream out;
    std::ostringstream err;
    std::vector<std::string> words = {"store", "copy", from_, to_};
    words.insert(words.end(), options.begin(), options.end());
    const int code = run(words, Streams{in, out, err}, interrupt);
    return {code, out.str(), err.str()};
  }

  Scheduler scheduler_;
  std::string from_;
  std::string to_;
  std::optional<Store> source_;
};

TEST_F(StoreCopy, a_row_that_the_target_cannot_hold_is_found_before_anything_is_written) {
  to_ += "?value_bytes=100&key_bytes=50";
  const Store target = open(to_);
  set(*source_, "a", "small");
  set(*source_, "big", Bytes(101, 'x'));
  set(*source_, Bytes(51, 'k'), "");
  const Ran ran = copy();
  EXPECT_EQ(ran.code, 1) << ran.err;
  EXPECT_THAT(ran.err, HasSubstr("cannot hold 2 rows of"));
  EXPECT_THAT(ran.err, HasSubstr("key big: its value has 101 bytes, and the target's limit "
                                 "value_bytes is 100"));
  EXPECT_THAT(ran.err, HasSubstr("its key has 51 bytes, and the target's limit key_bytes is 50"));
  EXPECT_TRUE(rows(target).empty());
  EXPECT_EQ(copy({"--check"}).code, 1);
}

TEST_F(StoreCopy, batches_keep_to_the_limits_of_the_target) {
  to_ += "?transaction_operations=10&transaction_bytes=100000";
  const Store target = open(to_);
  for (int i = 0; i < 100; ++i) set(*source_, "k" + std::to_string(i), Bytes(i * 500, 'v'));
  const Ran ran = copy();
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_TRUE(rows(target) == rows(*source_));
}

TEST_F(StoreCopy, markers_of_commits_are_not_copied) {
  const Store target = open(to_);
  set(*source_, "\xff/semper/marker/x", "of the source");
  set(*source_, "\xfe/directory", "of an application");
  EXPECT_EQ(copy().code, 0);
  EXPECT_EQ(rows(target, "\xff\xff").count("\xff/semper/marker/x"), 0u);
  EXPECT_EQ(rows(target).count("\xfe/directory"), 1u);
}

TEST_F(StoreCopy, stamps_of_the_target_go_on_from_those_of_the_source) {
  const Store target = open(to_);
  ASSERT_TRUE(scheduler_.block_on(source_->backend().raise_version(1'000'000)));
  set(*source_, "k", "v");
  EXPECT_EQ(copy().code, 0);
  Versionstamp stamp;
  TransactOptions options;
  options.committed_at = &stamp;
  const auto write = [](Transaction& transaction) -> Async<void> {
    transaction.set("later", "");
    co_return Status{};
  };
  EXPECT_TRUE(scheduler_.block_on(target.transact(write, options)));
  EXPECT_GT(stamp.version(), 1'000'001u);
}

// A memory store that says what one on FoundationDB would.
class Unraisable final : public Backend {
 public:
  explicit Unraisable(std::shared_ptr<Backend> inner) : inner_(std::move(inner)) {}
  const Limits& limits() const override { return inner_->limits(); }
  BackendTraits traits() const override { return inner_->traits(); }
  std::string url() const override { return "unraisable:"; }
  Async<std::unique_ptr<Snapshot>> snapshot() override { return inner_->snapshot(); }
  Async<CommitReceipt> commit(CommitRequest request) override {
    return inner_->commit(std::move(request));
  }
  Async<std::unique_ptr<Watch>> watch(BytesView key, Snapshot& seen) override {
    return inner_->watch(key, seen);
  }
  Async<std::string> check() override { return inner_->check(); }
  std::vector<std::pair<std::string, std::int64_t>> statistics() const override { return {}; }
  Async<void> close() override { return inner_->close(); }

 private:
  std::shared_ptr<Backend> inner_;
};

TEST_F(StoreCopy, a_target_whose_stamps_would_repeat_is_not_written_to) {
  const Store target = open(to_);
  set(target, "not", "empty");
  const auto inner = scheduler_.block_on(open_backend(to_, target.env())).value();
  register_backend("unraisable", [inner](StoreUrl, Env) -> Async<std::shared_ptr<Backend>> {
    co_return std::make_shared<Unraisable>(inner);
  });
  to_ = "unraisable:";
  ASSERT_TRUE(scheduler_.block_on(source_->backend().raise_version(1'000'000)));
  set(*source_, "k", "v");
  const Ran ran = copy({"--overwrite", "--yes"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_THAT(ran.err, HasSubstr("would be given out again, which breaks the order of queues"));
  EXPECT_THAT(ran.err, HasSubstr("cannot be raised to 1000001"));
  EXPECT_EQ(rows(target).count("k"), 0u);
}

TEST_F(StoreCopy, of_two_copies_into_one_target_only_the_newer_one_writes) {
  const Store store = open(to_);
  CopyTarget older(store);
  CopyTarget newer(store);
  EXPECT_TRUE(scheduler_.block_on(older.claim({})));
  older.set({"a", "1"});
  EXPECT_TRUE(scheduler_.block_on(older.write()));
  EXPECT_TRUE(scheduler_.block_on(newer.claim({})));
  older.set({"b", "1"});
  const Status refused = scheduler_.block_on(older.write());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::retry);
  EXPECT_EQ(rows(store).count("b"), 0u);
  EXPECT_FALSE(scheduler_.block_on(older.finish()));
  EXPECT_TRUE(scheduler_.block_on(newer.finish()));
  EXPECT_EQ(rows(store).size(), 1u);
}

TEST_F(StoreCopy, a_copy_begun_by_a_newer_version_is_not_continued) {
  const Store store = open(to_);
  CopyTarget target(store);
  CopyRecord record;
  record.format = CopyRecord::kFormat + 1;
  EXPECT_TRUE(scheduler_.block_on(target.claim(record)));
  const Ran newer = copy();
  EXPECT_EQ(newer.code, 1);
  EXPECT_THAT(newer.err, HasSubstr("begun by a newer version"));
  set(store, kCopyRecordKey, "no record");
  const Ran damaged = copy();
  EXPECT_EQ(damaged.code, 6);
  EXPECT_THAT(damaged.err, HasSubstr("begin anew with --overwrite"));
  EXPECT_EQ(copy({"--overwrite"}).code, 0);
}

}  // namespace
}  // namespace semper::cli
