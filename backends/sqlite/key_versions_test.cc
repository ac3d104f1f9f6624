#include "key_versions.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>

#include "semper/env/random.h"
#include "semper/testing/seed.h"
#include "written_keys.h"

namespace semper::sqlite {
namespace {

// As a sidecar begins: zeros.
std::unique_ptr<KeyVersions> zeros() {
  return std::make_unique<KeyVersions>();
}

TEST(KeyVersions, a_key_is_unchanged_since_its_last_write_and_not_before) {
  const auto keys = zeros();
  keys->forget(10);
  keys->wrote(hash_key("a"), 12);
  EXPECT_FALSE(keys->is_unchanged(hash_key("a"), 11));
  EXPECT_TRUE(keys->is_unchanged(hash_key("a"), 12));
  EXPECT_TRUE(keys->is_unchanged(hash_key("b"), 10));
}

TEST(KeyVersions, what_was_before_the_floor_is_not_known) {
  const auto keys = zeros();
  keys->forget(10);
  EXPECT_FALSE(keys->is_unchanged(hash_key("a"), 9));
  keys->forget(20);
  keys->forget(15);
  EXPECT_FALSE(keys->is_unchanged(hash_key("a"), 19)) << "the floor does not sink";
  EXPECT_TRUE(keys->is_unchanged(hash_key("a"), 20));
}

TEST(KeyVersions, a_range_that_was_written_makes_every_key_unknown) {
  const auto keys = zeros();
  keys->wrote_range(7);
  EXPECT_FALSE(keys->is_unchanged(hash_key("a"), 6));
  EXPECT_TRUE(keys->is_unchanged(hash_key("a"), 7));
}

// Against a map that remembers everything.
TEST(KeyVersions, they_never_call_unchanged_what_was_changed) {
  constexpr std::uint64_t kKeys = 100'000;
  SeededRandom random(testing::test_seed());
  const auto keys = zeros();
  std::map<Bytes, Version> truth;
  int known = 0;
  for (Version version = 1; version < 200'000; ++version) {
    const Bytes written = std::to_string(random.below(kKeys));
    truth[written] = version;
    keys->wrote(hash_key(written), version);
    const Bytes read = std::to_string(random.below(kKeys));
    const Version since = version - std::min<Version>(version, random.below(1'000));
    if (!keys->is_unchanged(hash_key(read), since)) continue;
    ++known;
    const auto last = truth.find(read);
    ASSERT_TRUE(last == truth.end() || last->second <= since) << read << " since " << since;
  }
  EXPECT_GT(known, 100'000);
}

}  // namespace
}  // namespace semper::sqlite
