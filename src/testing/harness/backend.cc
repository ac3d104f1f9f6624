#include "testing/harness/backend.h"

#include <algorithm>
#include <optional>

#include "semper/base/cbor.h"
#include "semper/env/asio.h"
#include "semper/store/tuple_stream.h"

namespace semper::testing::internal {
namespace {

class PointSnapshot final : public Snapshot {
 public:
  PointSnapshot(std::unique_ptr<Snapshot> inner, HarnessPoints& points, std::size_t process)
      : inner_(std::move(inner)), points_(points), process_(process) {}

  Version version() const override { return inner_->version(); }
  Async<void> fix_version() override { return inner_->fix_version(); }
  Async<std::optional<Bytes>> get(BytesView key) override {
    points_.at_point(process_, PointKind::read, "before a read");
    co_await yield_now();
    co_return co_await inner_->get(key);
  }
  Async<RangePage> get_range(const PageRequest& request) override {
    points_.at_point(process_, PointKind::read, "before a read");
    co_await yield_now();
    co_return co_await inner_->get_range(request);
  }
  Snapshot& inner() { return *inner_; }

 private:
  const std::unique_ptr<Snapshot> inner_;
  HarnessPoints& points_;
  const std::size_t process_;
};

// The rows of the server room by the numbers that docs/formats.md gives them.
enum Space : std::int64_t { kEntities = 1, kIndex = 2, kSessions = 4, kHosts = 5 };
enum Part : std::int64_t { kHeader = 0, kQueue = 2, kLockRenewal = 4, kDeadLetter = 5 };

// [event, name, payload, ...] each.
void read_segment(BytesView segment, const EntityId& to, CommitFacts& facts) {
  cbor::Reader reader(segment);
  std::uint64_t count = 0;
  if (!reader.read_array(count)) return;
  for (std::uint64_t i = 0; i < count; ++i) {
    std::uint64_t fields = 0;
    std::uint64_t event = 0;
    std::string_view name;
    BytesView payload;
    if (!reader.read_array(fields) || fields < 3 || !reader.read_unsigned(event) ||
        !reader.read_text(name) || !reader.read_bytes(payload)) {
      return;
    }
    for (std::uint64_t skipped = 3; skipped < fields; ++skipped) {
      if (!reader.skip()) return;
    }
    facts.sent.push_back({to, {std::string(name), Bytes(payload)}});
  }
}

class FactsReader {
 public:
  void read(const Mutation& mutation) {
    const Bytes prefix = Tenant::default_prefix();
    if (!mutation.key.starts_with(prefix)) return;
    TupleReader reader(BytesView(mutation.key).substr(prefix.size()));
    const auto space = reader.read_int64();
    if (!space) return;
    if (*space == kEntities) read_entity(reader, mutation);
    if (*space == kIndex) is_upkeep_ = false;
    if (*space == kSessions) read_session(reader, mutation);
    if (*space == kHosts) write("a host's registration");
  }

  CommitFacts take(std::size_t mutations) {
    facts_.is_upkeep = is_upkeep_ && !names_.empty();
    if (names_.empty()) write(std::to_string(mutations) + " rows");
    for (const auto& name : names_) facts_.written += (facts_.written.empty() ? "" : ", ") + name;
    return std::move(facts_);
  }

 private:
  void write(std::string name) {
    constexpr std::size_t kNamed = 6;
    if (names_.size() >= kNamed || std::find(names_.begin(), names_.end(), name) != names_.end()) {
      return;
    }
    names_.push_back(std::move(name));
  }

  void read_entity(TupleReader& reader, const Mutation& mutation) {
    Bytes scratch;
    const auto type = reader.read_text(scratch);
    if (!type) return;
    EntityId id{std::string(*type), {}};
    const auto name = reader.read_text(scratch);
    if (!name) return;
    id.id = std::string(*name);
    const auto part = reader.read_int64();
    if (!part || *part != kLockRenewal) is_upkeep_ = false;
    if (!part || mutation.type == Mutation::Type::clear) return;
    if (mutation.type == Mutation::Type::clear_range) return;
    if (*part == kHeader) write("the state of " + id.to_string());
    if (*part == kLockRenewal) write("the lock of " + id.to_string());
    if (*part == kDeadLetter) write("a dead letter of " + id.to_string());
    if (*part != kQueue) return;
    write("messages to " + id.to_string());
    read_segment(mutation.value, id, facts_);
  }

  void read_session(TupleReader& reader, const Mutation& mutation) {
    Bytes scratch;
    const auto session = reader.read_text(scratch);
    const bool is_set = mutation.type == Mutation::Type::set;
    if (session && is_set && reader.at_end()) return write("a caller's registration");
    is_upkeep_ = false;
    const auto part = session ? reader.read_int64() : Result<std::int64_t>(0);
    if (!part || *part != 1) return;
    write(is_set ? "a reply" : "a reply that was taken");
    if (!is_set) return;
    facts_.replies.push_back(mutation.key);
  }

  CommitFacts facts_;
  std::vector<std::string> names_;
  bool is_upkeep_ = true;
};

}  // namespace

CommitFacts facts_of(const CommitRequest& request) {
  FactsReader reader;
  for (const auto& mutation : request.mutations) reader.read(mutation);
  return reader.take(request.mutations.size());
}

Async<std::unique_ptr<Snapshot>> PointBackend::snapshot() {
  HarnessPoints& points = points_;
  const std::size_t process = process_;
  SEMPER_CO_TRY(auto inner, co_await inner_->snapshot());
  co_return std::make_unique<PointSnapshot>(std::move(inner), points, process);
}

Async<std::unique_ptr<Watch>> PointBackend::watch(BytesView key, Snapshot& seen) {
  return inner_->watch(key, static_cast<PointSnapshot&>(seen).inner());
}

Async<CommitReceipt> PointBackend::commit(CommitRequest request) {
  const auto faulty = faulty_;
  HarnessPoints& points = points_;
  const std::size_t process = process_;
  const CommitFacts facts = facts_of(request);
  const CommitFault fault = points.at_point(
      process, PointKind::commit, "before the commit of " + facts.written, facts.is_upkeep);
  co_await yield_now();
  if (fault != CommitFault::none) faulty->script({fault});
  auto receipt = co_await faulty->commit(std::move(request));
  points.at_point(process, PointKind::committed,
                  receipt ? "after the commit of " + facts.written
                          : "after a commit with the error " + receipt.error().to_string(),
                  facts.is_upkeep);
  co_await yield_now();
  co_return receipt;
}

Async<CommitReceipt> AppliedBackend::commit(CommitRequest request) {
  const auto inner = inner_;
  HarnessPoints& points = points_;
  const std::size_t process = process_;
  const CommitFacts facts = facts_of(request);
  auto receipt = co_await inner->commit(std::move(request));
  if (receipt) points.applied(process, facts);
  co_return receipt;
}

}  // namespace semper::testing::internal
