// What one transaction does to a name, against others between its reads and its commit.
#include "server/names/name_claims.h"

#include <gtest/gtest.h>

#include "backends/memory/memory.h"
#include "semper/store/store.h"
#include "semper/testing/seed.h"
#include "semper/testing/simulated_run.h"
#include "server/format/name_keys.h"
#include "server/format/records.h"

namespace semper::internal {
namespace {

using testing::simulated_run;
using Kind = ClaimOutcome::Kind;

class NameClaimsTest : public ::testing::Test {
 protected:
  NameClaimsTest() {
    auto memory = *simulated_run(clock_, open_memory(*StoreUrl::parse("memory:"), env_));
    store_.emplace(std::move(memory), env_);
  }

  void begin_session(const Bytes& session, std::uint64_t renewals = 1) {
    Transaction transaction = store_->begin();
    AliveRecord record;
    record.name = session;
    record.renewals = renewals;
    transaction.set(names_session_key("p", session), encode_alive(record));
    ASSERT_TRUE(simulated_run(clock_, transaction.commit()));
  }

  static NameClaim claim(Bytes session, std::string name = "n", Bytes holding = "h") {
    NameClaim made;
    made.prefix = "p";
    made.session = std::move(session);
    made.name = std::move(name);
    made.holding = std::move(holding);
    made.owner = made.session;
    made.metadata["of"] = made.session;
    return made;
  }

  // In a transaction of its own, committed.
  template <class Act>
  auto run(Act act) {
    return simulated_run(clock_, store_->transact(act)).value();
  }
  Kind take(const NameClaim& wanted) {
    return run([&](Transaction& tx) { return take_name(tx, wanted); }).kind;
  }
  Kind join(const NameClaim& wanted) {
    return run([&](Transaction& tx) { return join_line(tx, wanted); }).kind;
  }
  Kind look(const NameClaim& wanted) {
    return run([&](Transaction& tx) { return look_in_line(tx, wanted); }).kind;
  }
  bool bury(const Bytes& session, std::optional<std::uint64_t> renewals = {}) {
    return run([&](Transaction& tx) { return bury_session(tx, "p", session, renewals); });
  }
  bool clear(const Bytes& session) {
    return run([&](Transaction& tx) { return clear_buried(tx, "p", session); });
  }
  bool end(const NameClaim& wanted) {
    return run([&](Transaction& tx) { return give_back(tx, wanted, LurkingCommit::none); });
  }
  std::string holder(const std::string& name = "n") {
    const auto record =
        run([&](Transaction& tx) { return read_holder(tx, "p", name, ReadMode::snapshot); });
    return record ? record->owner : "nobody";
  }
  std::size_t rows() {
    return run([](Transaction& tx) { return tx.get_range(KeyRange("p", "q")); }).rows.size();
  }

  testing::SimulatedClock clock_;
  SeededRandom random_{testing::test_seed()};
  Env env_{&clock_, &random_};
  std::optional<Store> store_;
};

TEST_F(NameClaimsTest, nothing_is_taken_for_a_session_that_is_not_there) {
  EXPECT_EQ(take(claim("a")), Kind::session_gone);
  EXPECT_EQ(join(claim("a")), Kind::session_gone);
  EXPECT_EQ(look(claim("a")), Kind::session_gone);
  EXPECT_EQ(rows(), 0u);
}

TEST_F(NameClaimsTest, a_taker_that_is_buried_before_its_commit_takes_nothing) {
  begin_session("a");
  Transaction late = store_->begin();
  const auto wanted = claim("a");
  ASSERT_EQ(simulated_run(clock_, take_name(late, wanted))->kind, Kind::taken);
  ASSERT_TRUE(bury("a"));
  EXPECT_EQ(simulated_run(clock_, late.commit()).error().kind(), ErrorKind::conflict);
  EXPECT_EQ(holder(), "nobody");
}

TEST_F(NameClaimsTest, of_two_that_take_a_name_at_once_one_conflicts) {
  begin_session("a");
  begin_session("b");
  Transaction first = store_->begin();
  Transaction second = store_->begin();
  const auto of_a = claim("a");
  const auto of_b = claim("b");
  ASSERT_EQ(simulated_run(clock_, take_name(first, of_a))->kind, Kind::taken);
  ASSERT_EQ(simulated_run(clock_, take_name(second, of_b))->kind, Kind::taken);
  ASSERT_TRUE(simulated_run(clock_, second.commit()));
  EXPECT_EQ(simulated_run(clock_, first.commit()).error().kind(), ErrorKind::conflict);
  EXPECT_EQ(holder(), "b");
}

TEST_F(NameClaimsTest, a_session_that_was_renewed_since_it_was_seen_is_not_buried) {
  begin_session("a", 7);
  EXPECT_FALSE(bury("a", 6));
  EXPECT_EQ(take(claim("a")), Kind::taken);
  EXPECT_TRUE(bury("a", 7));
  EXPECT_FALSE(bury("a", 7)) << "twice";
  EXPECT_EQ(holder(), "nobody") << "before anything of it was cleared";
}

TEST_F(NameClaimsTest, clearing_what_a_dead_session_left_spares_what_others_have_taken_since) {
  begin_session("a");
  begin_session("b");
  ASSERT_EQ(take(claim("a", "x")), Kind::taken);
  ASSERT_EQ(take(claim("a", "y")), Kind::taken);
  ASSERT_EQ(take(claim("b", "z")), Kind::taken);
  ASSERT_EQ(join(claim("a", "z", "h2")), Kind::waits);
  ASSERT_TRUE(bury("a"));
  ASSERT_EQ(take(claim("b", "x")), Kind::taken);
  ASSERT_TRUE(clear("a"));
  EXPECT_EQ(holder("x"), "b");
  EXPECT_EQ(holder("y"), "nobody");
  EXPECT_EQ(holder("z"), "b");
  ASSERT_TRUE(bury("b"));
  ASSERT_TRUE(clear("b"));
  EXPECT_EQ(rows(), 0u);
}

TEST_F(NameClaimsTest, a_commit_without_an_answer_takes_nothing_after_its_claim_was_given_back) {
  begin_session("a");
  Transaction lurking = store_->begin();
  const auto wanted = claim("a");
  ASSERT_EQ(simulated_run(clock_, take_name(lurking, wanted))->kind, Kind::taken);
  EXPECT_FALSE(run([&](Transaction& tx) { return give_back(tx, wanted, LurkingCommit::perhaps); }));
  EXPECT_EQ(simulated_run(clock_, lurking.commit()).error().kind(), ErrorKind::conflict);
  EXPECT_EQ(holder(), "nobody");
}

TEST_F(NameClaimsTest, a_claim_that_was_applied_without_an_answer_finds_that_it_holds_the_name) {
  begin_session("a");
  begin_session("b");
  ASSERT_EQ(take(claim("a")), Kind::taken);
  const auto wanted = claim("a");
  const auto again = run([&](Transaction& tx) { return look_in_line(tx, wanted); });
  EXPECT_EQ(again.kind, Kind::taken);
  EXPECT_GT(again.token.value_or(0), 0u);
  EXPECT_EQ(take(claim("a", "n", "another claim")), Kind::held);
  EXPECT_EQ(take(claim("b")), Kind::held);
}

TEST_F(NameClaimsTest, a_place_taken_twice_by_one_claim_is_one_place) {
  begin_session("a");
  begin_session("b");
  ASSERT_EQ(take(claim("a")), Kind::taken);
  ASSERT_EQ(join(claim("b")), Kind::waits);
  const auto before = rows();
  ASSERT_EQ(join(claim("b")), Kind::waits);
  EXPECT_EQ(rows(), before);
  ASSERT_TRUE(end(claim("a")));
  EXPECT_EQ(take(claim("a", "n", "later")), Kind::held) << "past one who waits";
  EXPECT_EQ(look(claim("b")), Kind::taken);
  ASSERT_TRUE(end(claim("b")));
  EXPECT_FALSE(end(claim("b")));
  EXPECT_EQ(rows(), 2u) << "the two sessions";
}

TEST_F(NameClaimsTest, metadata_are_changed_by_their_holder_only) {
  begin_session("a");
  begin_session("b");
  ASSERT_EQ(take(claim("a")), Kind::taken);
  NameMetadata metadata;
  metadata["of"] = "somebody else";
  const auto change = [&](const NameClaim& of) {
    return run([&](Transaction& tx) { return change_metadata(tx, of, metadata); });
  };
  EXPECT_FALSE(change(claim("b")));
  EXPECT_TRUE(change(claim("a")));
  ASSERT_TRUE(end(claim("a")));
  EXPECT_EQ(rows(), 2u) << "the index keeps what is no more";
}

}  // namespace
}  // namespace semper::internal
