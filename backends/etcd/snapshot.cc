#include "snapshot.h"

#include <algorithm>
#include <utility>

#include "etcd_error.h"

namespace semper::etcd {

EtcdSnapshot::EtcdSnapshot(Context context, std::shared_ptr<const void> keep_alive)
    : context_(context),
      keep_alive_(std::move(keep_alive)),
      expires_(context.clock->after(context.lifetime)) {}

Status EtcdSnapshot::check() const {
  if (context_.closed->load()) return fail(ErrorKind::closed, "the store was closed");
  if (context_.clock->now() < expires_) return {};
  return fail(ErrorKind::timeout,
              "the transaction is older than the store's limit transaction_duration = 5 s; begin "
              "anew, and do less in one");
}

Async<void> EtcdSnapshot::fix_version() {
  SEMPER_CO_TRY_STATUS(check());
  if (fixed_) co_return Status{};
  pb::RangeRequest request;
  request.set_key(context_.layout->stamp());
  SEMPER_CO_TRY_STATUS(co_await read_first(std::move(request)));
  co_return Status{};
}

Async<pb::RangeResponse> EtcdSnapshot::read(pb::RangeRequest request) {
  if (!fixed_) co_return co_await read_first(std::move(request));
  request.set_revision(fixed_->revision);
  co_return co_await context_.cluster->range_at(fixed_->endpoint, std::move(request));
}

Async<pb::RangeResponse> EtcdSnapshot::read_first(pb::RangeRequest request) {
  pb::TxnRequest both;
  range(*both.add_success(), context_.layout->stamp());
  both.add_success()->mutable_request_range()->Swap(&request);
  SEMPER_CO_TRY(auto answer, co_await context_.cluster->read_from(both));
  auto& response = answer.response;
  const auto* stamp = response.responses_size() < 2 ? nullptr : only_row(response.responses(0));
  Fixed fixed;
  SEMPER_CO_TRY(fixed.version, stamp_in(stamp));
  fixed.revision = response.header().revision();
  fixed.endpoint = answer.endpoint;
  fixed_ = fixed;
  context_.stamps->saw(fixed.version);
  context_.versions->add({fixed.version, stamp->mod_revision(), nullptr});
  co_return std::move(*response.mutable_responses(1)->mutable_response_range());
}

Async<std::optional<Bytes>> EtcdSnapshot::get(BytesView key) {
  SEMPER_CO_TRY_STATUS(check());
  pb::RangeRequest request;
  request.set_key(context_.layout->stored(key));
  SEMPER_CO_TRY(auto response, co_await read(std::move(request)));
  std::optional<Bytes> value;
  if (response.kvs_size() > 0) value = std::move(*response.mutable_kvs(0)->mutable_value());
  keep_in_mind(key, value ? response.kvs(0).mod_revision() : 0);
  co_return value;
}

void EtcdSnapshot::keep_in_mind(BytesView key, Revision modified) {
  if (seen_.size() == kSeenKeys) seen_.erase(seen_.begin());
  seen_.emplace_back(key, modified);
}

Async<EtcdSnapshot::KeyState> EtcdSnapshot::state_of(BytesView key) {
  const auto known =
      std::find_if(seen_.begin(), seen_.end(), [&](const auto& seen) { return seen.first == key; });
  KeyState state;
  if (known != seen_.end()) {
    SEMPER_CO_TRY_STATUS(check());
    state.key = known->second;
  } else {
    SEMPER_CO_TRY(auto value, co_await get(key));
    state.key = seen_.back().second;
  }
  state.snapshot = fixed_->revision;
  co_return state;
}

Async<RangePage> EtcdSnapshot::get_range(const PageRequest& request) {
  SEMPER_CO_TRY_STATUS(check());
  pb::RangeResponse response;
  for (int attempt = 1;; ++attempt) {
    pb::RangeRequest asked;
    asked.set_key(context_.layout->stored(request.range.begin));
    asked.set_range_end(context_.layout->stored(request.range.end));
    asked.set_limit(static_cast<std::int64_t>(std::min(request.rows, page_rows_)));
    if (request.order == Order::descending) asked.set_sort_order(pb::RangeRequest::DESCEND);
    auto answer = co_await read(std::move(asked));
    if (answer) {
      response = std::move(*answer);
      break;
    }
    if (attempt == kPageAttempts || page_rows_ == 1 || !is_too_much(answer.error())) {
      co_return fail(answer.error());
    }
    page_rows_ = std::max<std::size_t>(1, page_rows_ / 4);
  }
  learn_page_size(response);
  RangePage page;
  page.more = response.more();
  std::vector<Bytes> keys;
  page.rows.reserve(static_cast<std::size_t>(response.kvs_size()));
  for (auto& row : *response.mutable_kvs()) {
    page.rows.emplace_back(Bytes(context_.layout->user_key(row.key())),
                           std::move(*row.mutable_value()));
  }
  if (page.rows.size() <= kRememberedRows) {
    for (const auto& row : page.rows) keys.push_back(row.key);
    context_.reads->remember(fixed_->version, std::move(keys));
  }
  co_return page;
}

void EtcdSnapshot::learn_page_size(const pb::RangeResponse& page) {
  if (page.kvs_size() == 0) return;
  const auto row_bytes = page.ByteSizeLong() / static_cast<std::size_t>(page.kvs_size()) + 1;
  page_rows_ = std::clamp<std::size_t>(kPageBytes / row_bytes, 1, kPageRowsMaximum);
}

}  // namespace semper::etcd
