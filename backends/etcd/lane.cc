#include "lane.h"

#include <utility>

#include "semper/base/internal/mutant.h"

namespace semper::etcd {
namespace {

void remove_everything_of(const Bytes& lane, pb::TxnRequest& request) {
  const KeyRange all = Layout::everything_of(lane);
  auto& removal = *request.add_success()->mutable_request_delete_range();
  removal.set_key(all.begin);
  removal.set_range_end(all.end);
}

bool is_old(const pb::KeyValue& lane, Version now) {
  if (lane.value().size() != sizeof(Version)) return false;  // a witness
  if (SEMPER_MUTANT("etcd_lane_swept_while_it_is_used")) return true;
  return swept_at(load_big_endian_u64(lane.value())) <= now;
}

}  // namespace

Async<Guards> make_lane(Kv& kv, const Layout& layout, StampClock& clock, std::string name) {
  Guards made;
  made.lane = layout.lane(name);
  Bytes version;
  append_big_endian_u64(version, clock.next(1));
  pb::TxnRequest request;
  compare_mod(*request.add_compare(), made.lane, pb::Compare::EQUAL, 0);
  range(*request.add_success(), layout.stamp());
  range(*request.add_success(), layout.declared());
  put(*request.add_success(), made.lane, std::move(version));
  const auto written = co_await kv.write(request);
  if (!written) co_return fail(written.error().error);
  if (!written->succeeded() || written->responses_size() < 2) {
    co_return fail(ErrorKind::retry, "a lane of that name is there already");
  }
  SEMPER_CO_TRY(const Version stamp, stamp_in(only_row(written->responses(0))));
  clock.saw(stamp);
  if (const auto* row = only_row(written->responses(1))) {
    SEMPER_CO_TRY(made.declared, DeclaredWrites::decode(row->value()));
    made.declared_revision = row->mod_revision();
  }
  made.lane_revision = written->header().revision();
  co_return made;
}

Task<void> remove_lane(Kv& kv, Bytes lane) {
  pb::TxnRequest request;
  remove_everything_of(lane, request);
  static_cast<void>(co_await kv.write(request));
}

Async<void> sweep_lanes(Kv& kv, const Layout& layout) {
  const KeyRange lanes = layout.lanes();
  pb::TxnRequest list;
  range(*list.add_success(), layout.stamp());
  auto& read = *list.add_success()->mutable_request_range();
  read.set_key(lanes.begin);
  read.set_range_end(lanes.end);
  read.set_limit(kLanesPerSweep);
  SEMPER_CO_TRY(const auto found, co_await kv.read(list));
  if (found.responses_size() < 2) co_return Status{};
  SEMPER_CO_TRY(const Version now, stamp_in(only_row(found.responses(0))));
  for (const auto& lane : found.responses(1).response_range().kvs()) {
    if (!is_old(lane, now)) continue;
    pb::TxnRequest sweep;
    compare_mod(*sweep.add_compare(), lane.key(), pb::Compare::EQUAL, lane.mod_revision());
    remove_everything_of(lane.key(), sweep);
    const auto swept = co_await kv.write(sweep);
    if (!swept) co_return fail(swept.error().error);
  }
  co_return Status{};
}

}  // namespace semper::etcd
