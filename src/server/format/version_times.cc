#include "server/format/version_times.h"

#include <algorithm>
#include <chrono>

#include "semper/base/cbor.h"
#include "semper/base/internal/mutant.h"
#include "semper/store/tuple_stream.h"
#include "server/format/tuple_key.h"

namespace semper::internal {
namespace {

constexpr std::int64_t kVersionTimesSpace = 14;
constexpr std::int64_t kHostsSpace = 5;
constexpr std::uint64_t kFormat = 1;
// Of an age that is read: a hundred years.
constexpr std::uint64_t kMostMs = std::uint64_t{100} * 365 * 24 * 3'600 * 1'000;

}  // namespace

Bytes version_times_key(BytesView tenant_prefix, BytesView host) {
  return tuple_key(tenant_prefix, kVersionTimesSpace, to_hex(host));
}

KeyRange version_times_range(BytesView tenant_prefix) {
  return below(tuple_key(tenant_prefix, kVersionTimesSpace));
}

Result<Bytes> host_key_of_version_times(BytesView tenant_prefix, BytesView key) {
  const Bytes space = tuple_key(tenant_prefix, kVersionTimesSpace);
  if (!key.starts_with(space)) {
    return fail(ErrorKind::corrupt,
                "key " + to_printable(key) + " is in another part of the store");
  }
  TupleReader reader(key.substr(space.size()));
  Bytes scratch;
  SEMPER_TRY(const auto hex, reader.read_text(scratch));
  return tuple_key(tenant_prefix, kHostsSpace, hex);
}

void VersionTimes::saw(Version version, MonotonicTime now) {
  // The earlier look says more.
  if (!looks_.empty() && version <= looks_.front().version) return;
  looks_.push_front({version, now});
  if (looks_.size() <= kVersionTimes) return;
  // The one goes that says the least: between its neighbours is the smallest share of their age.
  std::size_t least = 1;
  double smallest = 2;
  for (std::size_t i = 1; i + 1 < looks_.size(); ++i) {
    const auto gap = std::chrono::duration<double>(looks_[i - 1].at - looks_[i + 1].at).count();
    const auto age = std::chrono::duration<double>(now - looks_[i + 1].at).count();
    const double share = age > 0 ? gap / age : 0;
    if (share < smallest) {
      smallest = share;
      least = i;
    }
  }
  looks_.erase(looks_.begin() + static_cast<std::ptrdiff_t>(least));
}

std::optional<Duration> VersionTimes::age_of(Version version, MonotonicTime now) const {
  if (SEMPER_MUTANT("server_age_of_the_look_before")) {
    for (auto look = looks_.rbegin(); look != looks_.rend(); ++look) {
      if (look->version <= version) return now - look->at;
    }
  }
  // The oldest look by which it was there.
  for (auto look = looks_.rbegin(); look != looks_.rend(); ++look) {
    if (look->version >= version) return now - look->at;
  }
  return std::nullopt;
}

Bytes VersionTimes::encode(MonotonicTime now) const {
  Bytes out;
  cbor::Writer writer(out);
  writer.array(1 + 2 * looks_.size());
  writer.unsigned_integer(kFormat);
  for (const Look& look : looks_) {
    writer.unsigned_integer(look.version);
    const auto ago = std::chrono::duration_cast<std::chrono::milliseconds>(now - look.at).count();
    writer.unsigned_integer(static_cast<std::uint64_t>(std::max<std::int64_t>(ago, 0)));
  }
  return out;
}

bool VersionAges::add(BytesView row) {
  cbor::Reader reader(row);
  std::uint64_t elements = 0;
  std::uint64_t format = 0;
  if (!reader.read_array(elements) || elements % 2 != 1 || !reader.read_unsigned(format) ||
      format != kFormat) {
    return false;
  }
  std::vector<Known> read;
  for (std::uint64_t i = 0; i < elements / 2; ++i) {
    Known known;
    std::uint64_t ms = 0;
    if (!reader.read_unsigned(known.version) || !reader.read_unsigned(ms)) return false;
    known.ago = std::chrono::milliseconds(std::min(ms, kMostMs));
    read.push_back(known);
  }
  if (!reader.finish()) return false;
  known_.insert(known_.end(), read.begin(), read.end());
  return true;
}

std::optional<Duration> VersionAges::age_of(Version version) const {
  std::optional<Duration> most;
  for (const Known& known : known_) {
    if (known.version < version) continue;
    most = std::max(most.value_or(Duration::zero()), known.ago);
  }
  return most;
}

}  // namespace semper::internal
