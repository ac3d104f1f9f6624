// Limits: what is too big or too long is refused with the limit's name, and nothing is applied.
#include "testing/conformance/world.h"

namespace semper::testing::conformance {
namespace {

Task<void> refused(World& world, Transaction& transaction, ErrorKind kind, std::string named) {
  transaction.set("beside", "must not be applied");
  const Error error = must_fail(co_await transaction.commit());
  EXPECT_EQ(error.kind(), kind) << error.to_string();
  EXPECT_NE(error.message().find(named), std::string::npos)
      << "the message does not name \"" << named << "\": " << error.message();
  const auto limit = error.limit();
  EXPECT_EQ(limit.has_value(), kind == ErrorKind::exhausted);
  if (limit) {
    EXPECT_EQ(named.find(limit->name), 0u) << limit->name;
  }
  EXPECT_TRUE((co_await world.read_all()).empty()) << "something of it was applied";
}

Task<void> a_key_over_its_limit_is_refused_by_name(World& world) {
  const auto limit = world.store().limits().key_bytes;
  const Bytes longer(limit + 1, 'k');
  auto setting = world.begin();
  setting.set(longer, "");
  co_await refused(world, setting, ErrorKind::exhausted, "key_bytes = " + std::to_string(limit));
  auto clearing = world.begin();
  clearing.clear(longer);
  co_await refused(world, clearing, ErrorKind::exhausted, "key_bytes");
  auto adding = world.begin();
  adding.add(longer, 1);
  co_await refused(world, adding, ErrorKind::exhausted, "key_bytes");
  auto stamping = world.begin();
  stamping.set_versionstamped_key(longer, 0, "");
  co_await refused(world, stamping, ErrorKind::exhausted, "key_bytes");
  auto reading = world.begin();
  EXPECT_EQ(must_fail(co_await reading.get(longer)).kind(), ErrorKind::exhausted);
}

Task<void> an_empty_key_is_refused(World& world) {
  auto setting = world.begin();
  setting.set("", "value");
  co_await refused(world, setting, ErrorKind::invalid_argument, "key");
  auto reading = world.begin();
  EXPECT_EQ(must_fail(co_await reading.get("")).kind(), ErrorKind::invalid_argument);
}

Task<void> a_value_over_its_limit_is_refused_by_name(World& world) {
  const auto limit = world.store().limits().value_bytes;
  auto setting = world.begin();
  setting.set("key", Bytes(limit + 1, 'v'));
  co_await refused(world, setting, ErrorKind::exhausted, "value_bytes = " + std::to_string(limit));
  auto stamping = world.begin();
  stamping.set_versionstamped_value("key", Bytes(limit + 1, 'v'), 0);
  co_await refused(world, stamping, ErrorKind::exhausted, "value_bytes");
}

// Sets values until the transaction has about this many bytes.
void fill(Transaction& transaction, std::size_t bytes) {
  const std::size_t piece = std::min<std::size_t>(transaction.limits().value_bytes, 100'000);
  const Bytes value(piece, 'v');
  for (int i = 0; transaction.size_bytes() < bytes; ++i) {
    transaction.set("fill/" + std::to_string(i), value);
  }
}

Task<void> a_transaction_over_its_bytes_is_refused_by_name(World& world) {
  const auto limit = world.store().limits().transaction_bytes;
  auto filled = world.begin();
  fill(filled, limit + 1);
  co_await refused(world, filled, ErrorKind::exhausted,
                   "transaction_bytes = " + std::to_string(limit));
}

Task<void> a_transaction_just_under_its_bytes_is_applied(World& world) {
  const auto& limits = world.store().limits();
  auto filled = world.begin();
  fill(filled, limits.transaction_bytes - limits.transaction_bytes / 16);
  EXPECT_LE(filled.size_bytes(), limits.transaction_bytes);
  const auto count = filled.operation_count();
  co_await world.must_commit(filled);
  EXPECT_EQ((co_await world.read_all()).size(), count);
}

Task<void> too_many_writes_are_refused_by_name(World& world) {
  const auto limit = world.store().limits().transaction_operations;
  auto many = world.begin();
  for (std::size_t i = 0; i <= limit; ++i) many.clear("k");
  EXPECT_EQ(many.operation_count(), limit + 1);
  co_await refused(world, many, ErrorKind::exhausted,
                   "transaction_operations = " + std::to_string(limit));
}

Task<void> a_transaction_open_for_too_long_is_refused_by_name(World& world) {
  co_await world.put(rows_of("key", "old"));
  const auto limit = world.store().limits().transaction_duration;
  auto in_time = world.begin();
  EXPECT_EQ(must(co_await in_time.get("key")), "old");
  in_time.set("in time", "");
  auto reader = world.begin();
  EXPECT_EQ(must(co_await reader.get("key")), "old");
  auto writer = world.begin();
  EXPECT_EQ(must(co_await writer.get("key")), "old");
  writer.set("late", "");
  co_await world.advance(limit / 2);
  EXPECT_EQ(must(co_await reader.get("key")), "old");
  co_await world.must_commit(in_time);
  co_await world.advance(limit);
  std::vector<Error> errors;
  errors.push_back(must_fail(co_await reader.get("key")));
  errors.push_back(must_fail(co_await reader.get_range({"a", "z"})));
  errors.push_back(must_fail(co_await writer.commit()));
  for (const auto& error : errors) {
    EXPECT_EQ(error.kind(), ErrorKind::timeout) << error.to_string();
    EXPECT_NE(error.message().find("transaction_duration"), std::string::npos) << error.to_string();
  }
  EXPECT_EQ(co_await world.read("late"), std::nullopt);
  EXPECT_EQ(co_await world.read("in time"), "");
}

constexpr Case kLimitCases[] = {
    {"a_key_over_its_limit_is_refused_by_name", a_key_over_its_limit_is_refused_by_name},
    {"an_empty_key_is_refused", an_empty_key_is_refused},
    {"a_value_over_its_limit_is_refused_by_name", a_value_over_its_limit_is_refused_by_name},
    {"a_transaction_over_its_bytes_is_refused_by_name",
     a_transaction_over_its_bytes_is_refused_by_name},
    {"a_transaction_just_under_its_bytes_is_applied",
     a_transaction_just_under_its_bytes_is_applied},
    {"too_many_writes_are_refused_by_name", too_many_writes_are_refused_by_name},
    {"a_transaction_open_for_too_long_is_refused_by_name",
     a_transaction_open_for_too_long_is_refused_by_name, CaseTime::by_hand},
};

}  // namespace

std::span<const Case> limit_cases() {
  return kLimitCases;
}

}  // namespace semper::testing::conformance
