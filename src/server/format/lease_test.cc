#include "server/format/lease.h"

#include <gtest/gtest.h>

namespace semper::internal {
namespace {

using namespace std::chrono_literals;

TEST(Leases, come_back_from_rows_and_are_never_shorter) {
  for (const Duration lease : {Duration(1ms), Duration(300ms), Duration(3s), Duration(24h * 365)}) {
    EXPECT_EQ(lease_from_row(lease_in_row(lease)), lease);
  }
  EXPECT_EQ(lease_from_row(lease_in_row(Duration(1500us))), Duration(2ms));
  EXPECT_EQ(lease_from_row(lease_in_row(Duration(0))), Duration(1ms));
  EXPECT_GT(*lease_from_row(lease_in_row(kForever)), Duration(24h * 365 * 100));
  EXPECT_EQ(lease_from_row(~std::uint64_t{0}), kForever);
  EXPECT_EQ(lease_from_row(0), std::nullopt);
}

TEST(Leases, a_lock_renewal_says_its_count_and_its_lease_and_without_one_it_is_of_0_1_0) {
  const LockRenewal renewal{7, 5s};
  const Bytes row = renewal.encode();
  EXPECT_EQ(LockRenewal::decode(row).renewals, 7u);
  EXPECT_EQ(LockRenewal::decode(row).lease, Duration(5s));
  const Bytes old = row.substr(0, 8);
  EXPECT_EQ(LockRenewal::decode(old).renewals, 7u);
  EXPECT_EQ(LockRenewal::decode(old).lease, std::nullopt);
  EXPECT_EQ(LockRenewal::decode(std::nullopt).renewals, 0u);
}

TEST(Attention, runs_while_somebody_looks) {
  Attention attention;
  MonotonicTime now{100h};
  EXPECT_EQ(attention.look(now, 1s), 0s) << "what was before the first look is not known";
  EXPECT_EQ(attention.look(now + 500ms, 1s), 500ms);
  EXPECT_EQ(attention.look(now + 1500ms, 1s), 1500ms);
}

TEST(Attention, a_pause_of_the_observer_is_no_evidence) {
  Attention attention;
  MonotonicTime now{100h};
  attention.look(now, 1s);
  EXPECT_EQ(attention.look(now + 1h, 1s), 1s);
  EXPECT_EQ(attention.look(now + 1h + 1s, 1s), 2s);
}

}  // namespace
}  // namespace semper::internal
