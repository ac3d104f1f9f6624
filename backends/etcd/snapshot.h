// EtcdSnapshot: one revision of etcd, chosen by the first read.
//
// The first read is a transaction of etcd's that reads what was asked for and the store's stamp, as
// a majority sees it: so it has seen every commit that returned before, and tells revision and
// version, in one round trip. Later reads ask the same endpoint for the same revision, which it can
// answer by itself.
#pragma once

#include <optional>
#include <vector>

#include "backends/etcd/cluster.h"
#include "backends/etcd/layout.h"
#include "backends/etcd/read_memory.h"
#include "backends/etcd/stamp_clock.h"
#include "backends/etcd/version_map.h"
#include "semper/store/backend.h"

namespace semper::etcd {

// Rows asked for at once: few until it is known how large they are, then about kPageBytes.
inline constexpr std::size_t kFirstPageRows = 128;
inline constexpr std::size_t kPageRowsMaximum = 1'024;
inline constexpr std::size_t kPageBytes = std::size_t{4} << 20;
// Pages that were too large are asked for again with a quarter of the rows.
inline constexpr int kPageAttempts = 6;
// Keys whose revisions are kept, for watches.
inline constexpr std::size_t kSeenKeys = 16;

class EtcdSnapshot final : public Snapshot {
 public:
  // What it works with; shared with the backend, which outlives it or closes it.
  struct Context {
    Cluster* cluster = nullptr;
    const Layout* layout = nullptr;
    const Clock* clock = nullptr;
    StampClock* stamps = nullptr;
    VersionMap* versions = nullptr;
    ReadMemory* reads = nullptr;
    const std::atomic<bool>* closed = nullptr;
    Duration lifetime{};
  };
  EtcdSnapshot(Context context, std::shared_ptr<const void> keep_alive);

  Version version() const override { return fixed_ ? fixed_->version : 0; }
  Async<void> fix_version() override;
  Async<std::optional<Bytes>> get(BytesView key) override;
  Async<RangePage> get_range(const PageRequest& request) override;

  // The key's own revision in it; 0: not there.
  struct KeyState {
    Revision snapshot = 0;
    Revision key = 0;
  };
  Async<KeyState> state_of(BytesView key);

 private:
  struct Fixed {
    Version version = 0;
    Revision revision = 0;
    std::size_t endpoint = 0;
  };

  Status check() const;
  Async<pb::RangeResponse> read(pb::RangeRequest request);
  Async<pb::RangeResponse> read_first(pb::RangeRequest request);
  void keep_in_mind(BytesView key, Revision modified);
  void learn_page_size(const pb::RangeResponse& page);

  const Context context_;
  const std::shared_ptr<const void> keep_alive_;
  const MonotonicTime expires_;
  std::optional<Fixed> fixed_;
  std::size_t page_rows_ = kFirstPageRows;
  std::vector<std::pair<Bytes, Revision>> seen_;
};

}  // namespace semper::etcd
