// RequestBuilder: many transactions as one request of etcd, and what its answer says of each.
//
//   if    stamp < V  and  declared writes and lane are at the revisions known    (else: told them)
//   then  for each transaction:  if its conditions hold
//                                then  if the sums are what was believed         (else: told them)
//                                      then  its operations
//         stamp = V of the last one; lane = the same
//
// Versions are given in the order of the transactions, each its own. etcd looks at all conditions,
// those of nested transactions too, before it does anything (etcdserver/apply.go, compareToPath),
// so transactions of one request must have nothing in common that one of them writes.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "backends/etcd/counters.h"
#include "backends/etcd/declared_writes.h"
#include "backends/etcd/plan.h"

namespace semper::etcd {

// What a handle knows of the keys that every request looks at.
struct Guards {
  Bytes lane;  // its key
  Revision lane_revision = 0;
  Revision declared_revision = 0;  // 0: not there
  DeclaredWrites declared;
};

// What validation found: nobody had committed between it and this revision of the stamp.
struct Validated {
  Revision stamp_revision = 0;
  std::map<Bytes, std::optional<Bytes>> values;  // of the keys that are added to
};

struct Entry {
  const Plan* plan = nullptr;
  const Validated* validated = nullptr;  // where the plan asks for it
};

// What stands where in the request, for reading its answer.
struct Sent {
  struct Part {
    Version version = 0;
    bool has_conditions = false;
    std::vector<Bytes> sums;          // stored keys
    std::map<Bytes, Bytes> new_sums;  // stored key -> value put
    std::vector<KeyRange> written;    // stored, sums left out
    Bytes witness;                    // a key that it puts
  };
  Version last = 0;
  std::vector<Part> parts;
};

enum class PartOutcome : std::uint8_t { applied, conflict, sums_overtaken };

class RequestBuilder {
 public:
  RequestBuilder(const Layout& layout, const Guards& guards, const Counters& counters)
      : layout_(&layout), guards_(&guards), counters_(&counters) {}

  // The transactions get the versions first, first + 1, ...
  pb::TxnRequest build(const std::vector<Entry>& entries, Version first);
  Sent take_sent() { return std::move(sent_); }

 private:
  void add_guards(pb::TxnRequest& request, Version first) const;
  void add_part(pb::TxnRequest& outer, const Entry& entry, Version version, std::size_t number);
  std::vector<pb::RequestOp> operations(const Entry& entry, const Effects& effects,
                                        Sent::Part& part, std::size_t number) const;
  void add_sums(const Entry& entry, const Effects& effects, Sent::Part& part,
                std::vector<pb::RequestOp>& ops) const;
  Bytes declared_with(const Plan& plan, Version version) const;

  const Layout* layout_;
  const Guards* guards_;
  const Counters* counters_;
  Sent sent_;
};

// What the answer to a request that was carried out says of one of its transactions. Values that it
// tells are learnt.
PartOutcome outcome_of(const Sent::Part& part, const pb::ResponseOp& answer, Counters& counters);

// After a request was carried out at this revision.
void learn_writes(const Sent::Part& part, Revision revision, Counters& counters);

}  // namespace semper::etcd
