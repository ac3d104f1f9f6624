// A FoundationDB of the tests' own, behind the C interface: one cluster in memory, with versions,
// conflicts, versionstamps, watches and tenants, and one network thread on which everything
// completes.
//
// The newest one is the library: what is started and opened is on it, and stays there.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "backends/memory/versioned_map.h"
#include "fdb_c_api.h"
#include "semper/store/backend.h"

namespace semper::foundationdb {

enum class Call : std::uint8_t { get_read_version, get, get_range, commit, watch, on_error };

class FakeFdb {
 public:
  FakeFdb();
  ~FakeFdb();
  FakeFdb(const FakeFdb&) = delete;
  FakeFdb& operator=(const FakeFdb&) = delete;

  // The one that is the library. Throws where there is none.
  static FakeFdb& current();

  // The functions; those of API versions over `newest` are missing.
  static FdbApi api(int newest = kApiVersionMaximum);

  // The next calls of this kind fail, one with each code, in order. A commit fails without effect.
  void fail_next(Call call, std::vector<FdbError> codes);
  // The next commit is applied, and its answer is this code.
  void lose_next_answer(FdbError code);
  // Calls of this kind stay open until release(). Timeouts make them fail at once instead.
  void hold(Call call);
  void release();
  // Nobody answers: every transaction with a timeout runs into it.
  void set_reachable(bool reachable);
  // All versions before now are too old from now on.
  void recover();
  // Watches that one connection may have.
  void set_watches_maximum(std::size_t maximum);
  void set_tenants_enabled(bool enabled);
  // Every watch that is set fails.
  void fail_watches(FdbError code);

  struct Counts {
    int futures = 0;  // not destroyed yet
    int transactions = 0;
    int databases = 0;
    int tenants = 0;
    int networks_run = 0;
    int networks_stopped = 0;
    std::map<Call, int> calls;
    int conflict_ranges_read = 0;
    std::vector<int> api_versions;  // selected
    std::set<std::string> tenant_names;
  };
  Counts counts() const;
  bool is_held(Call call) const;
  std::size_t watches() const;
  // On the network thread, after what it has to do already.
  void run_on_network(std::function<void()> work) { post(std::move(work)); }
  // What is in the cluster, outside tenants, with the keys as they are there.
  std::vector<KeyValue> rows(const std::string& tenant = "") const;

 private:
  friend struct FakeCalls;
  friend struct FdbFuture;
  friend struct FdbTransaction;

  struct Watching {
    std::string tenant;
    Bytes key;
    std::optional<Bytes> value;
    FdbFuture* future;
  };

  // On the network thread, in order.
  void post(std::function<void()> work);
  void run();
  void stop();
  // With the mutex held.
  FdbError next_failure(Call call);
  void begin_call(FdbTransaction& transaction, Call call, FdbFuture& future,
                  std::function<void()> then);
  memory::VersionedMap& map_of(const std::string& tenant) { return maps_[tenant]; }
  void fire_watches(const std::string& tenant);
  void commit(FdbTransaction& transaction, FdbFuture& future);
  FdbError apply(FdbTransaction& transaction);
  FdbError set_watch(const Watching& watching);

  FakeFdb* const previous_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> work_;
  bool running_ = false;
  bool stopping_ = false;
  bool reachable_ = true;
  bool tenants_enabled_ = true;
  std::size_t watches_maximum_ = 10'000;
  Version oldest_ = 0;
  FdbError lost_answer_ = 0;
  std::map<Call, std::deque<FdbError>> failures_;
  std::set<Call> held_;
  std::vector<std::function<void()>> held_work_;
  std::map<Call, int> held_counts_;
  std::map<std::string, memory::VersionedMap> maps_;
  std::vector<Watching> watching_;
  Counts counts_;
};

}  // namespace semper::foundationdb
