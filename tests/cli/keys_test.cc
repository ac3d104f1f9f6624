// Idempotency keys seen, used and forgotten from the command line.
#include <chrono>

#include "semper/semper.h"
#include "tool.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

class CliKeys : public CliTest {
 protected:
  void SetUp() override {
    create_store();
    store_.emplace(scheduler_.block_on(open_store(url())).value());
  }
  void TearDown() override {
    if (!store_) return;
    ASSERT_TRUE(scheduler_.block_on(store_->close()));
  }
  void cast(const std::string& key) {
    const RawRef ref(*store_, EntityId{"Order", "a"});
    RawMessage message{"Pay", encode(std::int64_t{7})};
    const CastOptions options{IdempotencyKey{key}};
    ASSERT_TRUE(scheduler_.block_on(ref.cast(std::move(message), options)));
  }

  Scheduler scheduler_;
  std::optional<Store> store_;
};

TEST_F(CliKeys, keys_are_listed_and_can_be_forgotten) {
  EXPECT_THAT(run({"keys", "Order/a"}).err, HasSubstr("no idempotency keys"));
  cast("one");
  cast("two");
  const auto all = must_json({"keys", "Order/a"});
  ASSERT_EQ(all.size(), 2u) << all;
  EXPECT_EQ(all[0]["message"], "Pay");
  EXPECT_EQ(all[0]["key"], "one");
  EXPECT_EQ(all[0]["state"], "queued");
  EXPECT_TRUE(all[0]["kept_until"].is_null());
  EXPECT_EQ(must_json({"keys", "Order/a", "--limit", "1"}).size(), 1u);
  EXPECT_THAT(must({"keys", "Order/a"}), HasSubstr("two"));
  EXPECT_THAT(must({"key", "forget", "Order/a", "Pay", "one", "--yes"}), HasSubstr("forgotten"));
  EXPECT_EQ(must_json({"keys", "Order/a"}).size(), 1u);
  refused(3, "knows no key", {"key", "forget", "Order/a", "Pay", "one", "--yes"});
}

TEST_F(CliKeys, a_cast_that_is_repeated_with_its_key_is_queued_once) {
  for (int i = 0; i < 3; ++i) {
    must({"cast", "Order/a", "Pay", "[7]", "--force", "--key", "one"});
  }
  EXPECT_EQ(must_json({"queue", "Order/a"}).size(), 1u);
  refused(2, "idempotency key", {"cast", "Order/a", "Pay", "[7]", "--force", "--key", ""});
  refused(2, "another content", {"cast", "Order/a", "Pay", "[8]", "--force", "--key", "one"});
}

}  // namespace
}  // namespace semper::testing
