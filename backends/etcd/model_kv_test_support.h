// ModelKv: etcd as it should be, in memory, for tests of what talks to it.
//
// Every revision is kept. Transactions are looked at and carried out as etcd does: all conditions
// first, also nested ones, and refused where etcd would refuse them (more than 128 operations, a
// key written twice). On top of that, what a network does: answers that are lost before or after
// the request took effect, requests that arrive long after their caller gave up, endpoints that
// refuse.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "backends/etcd/kv.h"
#include "semper/env/env.h"

namespace semper::etcd::testing {

struct ModelFaults {
  double refused = 0;      // not sent
  double lost_before = 0;  // never arrives, no answer
  double lost_after = 0;   // carried out, no answer
  double late = 0;         // no answer, carried out up to late_by afterwards
  Duration late_by = std::chrono::milliseconds(200);
  Duration delay = std::chrono::milliseconds(2);  // of every request, at most
};

class ModelKv final : public Kv {
 public:
  ModelKv(Env env, ModelFaults faults) : env_(env), faults_(faults) {}

  Async<pb::TxnResponse> read(const pb::TxnRequest& request) override;
  Task<Written<pb::TxnResponse>> write(const pb::TxnRequest& request) override;

  // At once, without faults. Error: what etcd would refuse.
  Result<pb::TxnResponse> apply(const pb::TxnRequest& request);

  std::optional<Bytes> value(const Bytes& key) const;
  Revision modified(const Bytes& key) const;
  std::vector<Bytes> keys(const KeyRange& range) const;
  void put(const Bytes& key, Bytes value);

  void set_faults(const ModelFaults& faults) { faults_ = faults; }
  // Every write is answered with this from now on, carried out or not.
  void fill_up(bool carry_out) { full_ = carry_out ? Full::carried_out : Full::refused; }
  void make_room() { full_ = Full::no; }
  // Reads of revisions up to this one are refused from now on.
  void compact(Revision revision) { compacted_ = revision; }

  Revision revision() const { return revision_; }
  std::size_t writes() const { return writes_; }
  // That were under way together.
  std::size_t most_writes_at_once() const { return most_at_once_; }
  const pb::TxnRequest& last_write() const { return last_write_; }

 private:
  enum class Full { no, carried_out, refused };
  struct Row {
    Bytes value;
    Revision created = 0;
    Revision modified = 0;
    std::int64_t version = 0;
  };

  const Row* row(const Bytes& key, Revision revision) const;
  bool holds(const pb::Compare& compare) const;
  void choose(const pb::TxnRequest& request, std::vector<bool>& path) const;
  Result<pb::RangeResponse> range(const pb::RangeRequest& request) const;
  Status carry_out(const pb::TxnRequest& request, const std::vector<bool>& path, std::size_t& place,
                   Revision revision, pb::TxnResponse& response);
  void remove(const pb::DeleteRangeRequest& request, Revision revision);
  Async<void> delay();

  const Env env_;
  ModelFaults faults_;
  Full full_ = Full::no;
  // Key -> its rows by revision.
  std::map<Bytes, std::map<Revision, std::optional<Row>>> history_;
  Revision revision_ = 1;
  Revision compacted_ = 0;
  bool changed_ = false;
  std::size_t writes_ = 0;
  std::size_t at_once_ = 0;
  std::size_t most_at_once_ = 0;
  pb::TxnRequest last_write_;
};

}  // namespace semper::etcd::testing
