#include "server/format/lease.h"

#include "server/format/records.h"

namespace semper::internal {

std::uint64_t lease_in_row(Duration lease) {
  const Duration least = std::chrono::milliseconds(1);
  const auto rounded = std::chrono::ceil<std::chrono::milliseconds>(std::max(lease, least));
  return static_cast<std::uint64_t>(rounded.count());
}

std::optional<Duration> lease_from_row(std::uint64_t milliseconds) {
  constexpr auto kMost = std::chrono::duration_cast<std::chrono::milliseconds>(kForever);
  if (milliseconds == 0) return std::nullopt;
  if (milliseconds > static_cast<std::uint64_t>(kMost.count())) return kForever;
  return std::chrono::milliseconds(milliseconds);
}

Bytes LockRenewal::encode() const {
  Bytes row;
  append_little_endian_u64(row, renewals);
  if (lease) append_little_endian_u64(row, lease_in_row(*lease));
  if (lease && vanished > 0) append_little_endian_u64(row, vanished);
  return row;
}

LockRenewal LockRenewal::decode(const std::optional<Bytes>& row) {
  constexpr std::size_t kNumber = sizeof(std::uint64_t);
  LockRenewal renewal{counter_value(row), {}, 0};
  const std::size_t size = row ? row->size() : 0;
  if (size == 2 * kNumber || size == 3 * kNumber) {
    renewal.lease = lease_from_row(load_little_endian_u64(BytesView(*row).substr(kNumber)));
  }
  if (size == 3 * kNumber) {
    renewal.vanished = load_little_endian_u64(BytesView(*row).substr(2 * kNumber));
  }
  return renewal;
}

}  // namespace semper::internal
