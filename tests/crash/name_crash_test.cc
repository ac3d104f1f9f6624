// What becomes of a name when the process that holds it is killed, or only stopped for too long.
#include <signal.h>

#include "crash_test_support.h"
#include "name_owner.h"
#include "semper/server/name_registry.h"
#include "semper/testing/child_process.h"
#include "workers.h"

namespace semper::testing {
namespace {

class NameCrash : public CrashTest {
 protected:
  ChildProcess start_owner() { return ChildProcess(name_owner_arguments(url_)); }

  std::string holder() {
    const auto view = scheduler_.block_on(lookup_name(*store_, kOwnedName));
    if (!view) {
      ADD_FAILURE() << view.error().to_string();
      return "";
    }
    return *view ? (*view)->owner : "";
  }
  bool wait_held(const ChildProcess& owner) {
    return wait_until([&] { return holder() == std::to_string(owner.pid()); });
  }

  // How many writes there are; each by a token that is not smaller than that of the one before.
  std::size_t count_writes() {
    const auto read = [](Transaction& transaction) -> Async<std::vector<KeyValue>> {
      std::vector<KeyValue> rows;
      KeyRange rest(kOwnersWrites, Bytes(kOwnersWrites) + "\xff\xff");
      for (bool more = true; more;) {
        SEMPER_CO_TRY(auto page, co_await transaction.get_range(rest));
        for (auto& row : page.rows) rows.push_back(std::move(row));
        more = page.more && !page.rows.empty();
        if (more) rest.begin = key_after(rows.back().key);
      }
      co_return rows;
    };
    const auto rows = scheduler_.block_on(store_->transact(read));
    if (!rows) {
      ADD_FAILURE() << rows.error().to_string();
      return 0;
    }
    std::uint64_t last = 0;
    for (const auto& row : *rows) {
      const auto token = std::stoull(row.value);
      EXPECT_GE(token, last) << "a former holder has written";
      last = token;
    }
    return rows->size();
  }
};

TEST_F(NameCrash, the_name_of_a_killed_owner_goes_to_the_next_one) {
  std::vector<ChildProcess> owners;
  owners.push_back(start_owner());
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(wait_held(owners.back()));
    owners.push_back(start_owner());
    ASSERT_TRUE(wait_until([&] { return owners.back().has_written("ready"); }));
    owners[owners.size() - 2].kill_hard();
  }
  ASSERT_TRUE(wait_held(owners.back()));
  EXPECT_EQ(owners.back().finish(), 0);
  EXPECT_EQ(holder(), "");
  EXPECT_GT(count_writes(), 0u);
}

TEST_F(NameCrash, a_stopped_owner_hears_that_it_lost_and_writes_nothing_more) {
  auto first = start_owner();
  ASSERT_TRUE(wait_held(first));
  auto second = start_owner();
  ASSERT_TRUE(wait_until([&] { return second.has_written("ready"); }));
  ASSERT_TRUE(first.tell("s"));
  ASSERT_TRUE(wait_until([&] { return first.has_written("still"); }));
  ASSERT_TRUE(first.freeze());
  ASSERT_TRUE(wait_held(second)) << "a stopped owner was not missed";
  const auto before = count_writes();
  ASSERT_TRUE(wait_until([&] { return count_writes() > before; }));
  first.send_signal(SIGCONT);
  ASSERT_TRUE(first.tell("g"));
  ASSERT_TRUE(wait_until([&] { return first.has_written("lost"); })) << first.output();
  EXPECT_FALSE(first.has_written("confused"));
  EXPECT_EQ(second.finish(), 0);
  ASSERT_TRUE(wait_held(first)) << "it may have it again";
  EXPECT_EQ(first.finish(), 0);
  count_writes();
}

}  // namespace
}  // namespace semper::testing
