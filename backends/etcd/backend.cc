#include "backend.h"

#include <unistd.h>

#include <charconv>
#include <system_error>
#include <utility>

#include "etcd.h"
#include "etcd_error.h"
#include "semper/base/internal/mutant.h"
#include "semper/base/log.h"

namespace semper::etcd {
namespace {

// A request of etcd's has 1.5 MiB by default. What is left over takes the framing of as many
// operations, with the longest prefix.
constexpr Limits kLimits = {
    .key_bytes = 10'000,
    .value_bytes = 100'000,
    .transaction_bytes = std::size_t{1} << 20,
    .transaction_operations = 2'500,
    .transaction_duration = std::chrono::seconds(5),
};

struct EtcdVersion {
  int major = 0;
  int minor = 0;
  int patch = 0;
};

// "3.4.23"
EtcdVersion parse_version(std::string_view text) {
  EtcdVersion version;
  for (int* part : {&version.major, &version.minor, &version.patch}) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *part);
    if (error != std::errc()) break;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (!text.starts_with('.')) break;
    text.remove_prefix(1);
  }
  return version;
}

Status check_version(const std::string& text) {
  const auto version = parse_version(text);
  if (std::tie(version.major, version.minor) < std::tie(kOldestMajor, kOldestMinor)) {
    return fail(ErrorKind::unsupported, "the cluster runs etcd " + to_printable(text) +
                                            "; an etcd: store needs 3.4 or later");
  }
  constexpr int kInconsistentMinor = 5;
  constexpr int kConsistentAgain = 3;
  if (version.major == kOldestMajor && version.minor == kInconsistentMinor &&
      version.patch < kConsistentAgain) {
    log_warning("etcd", "etcd " + to_printable(text) +
                            " can lose consistency between its members when it crashes; upgrade it "
                            "to 3.5.3 or later");
  }
  return {};
}

// Far above what counting and clocks reach; from there on versions and clocks can be added up.
constexpr Version kVersionMaximum = Version{1} << 62;

}  // namespace

Status check_floor(Version floor) {
  if (floor <= kVersionMaximum || SEMPER_MUTANT("etcd_any_version_raised")) return {};
  return fail(ErrorKind::invalid_argument,
              "version " + std::to_string(floor) + " is no version of a store: the highest is " +
                  std::to_string(kVersionMaximum) + "; nothing was changed");
}

Result<std::string> compare_members(const std::vector<Cluster::MemberHash>& members) {
  std::size_t told = 0;
  for (const auto& one : members) {
    if (!one.hash) continue;
    ++told;
    for (const auto& other : members) {
      if (!other.hash || other.compacted != one.compacted || *other.hash == *one.hash) continue;
      return fail(ErrorKind::corrupt,
                  "the members " + one.address + " and " + other.address +
                      " of the etcd cluster hold different data at the same revision; take the one "
                      "that differs from the others out, and let it begin anew from them");
    }
  }
  return std::to_string(told) + " of " + std::to_string(members.size()) +
         " endpoints told what they hold, and contradict each other nowhere";
}

EtcdBackend::Parts::Parts(EtcdOptions given, Env in)
    : options(std::move(given)),
      env(in),
      process(::getpid()),
      layout(options.prefix),
      stamps(*env.clock),
      scheduler(std::make_shared<Scheduler>(SchedulerOptions{.threads = 1, .name = "semper-etcd"})),
      cluster(std::make_shared<Cluster>(options, env, scheduler->executor(), *statistics)) {
  Committer::Context context;
  context.kv = cluster.get();
  context.layout = &layout;
  context.env = env;
  context.executor = scheduler->executor();
  context.statistics = statistics.get();
  context.clock = &stamps;
  context.versions = &versions;
  context.reads = &reads;
  committer = std::make_shared<Committer>(std::move(context));
  WatchHub::Context watching;
  watching.cluster = cluster.get();
  watching.env = env;
  watching.executor = scheduler->executor();
  watching.statistics = statistics;
  hub = std::make_shared<WatchHub>(std::move(watching));
  cluster->on_given_up([watches = std::weak_ptr<WatchHub>(hub)] {
    if (const auto alive = watches.lock()) alive->leave_dead_stream();
  });
}

EtcdBackend::Parts::~Parts() {
  hub->close();
  cluster->close();
  scheduler->stop();
  // With all coroutines that wait on it.
  scheduler.reset();
}

Async<std::shared_ptr<Backend>> EtcdBackend::open(EtcdOptions options, Env env) {
  std::shared_ptr<Parts> parts;
  try {
    parts = std::make_shared<Parts>(std::move(options), env);
  } catch (const std::system_error& error) {
    co_return fail(ErrorKind::exhausted, std::string("the system gives no thread for the store (") +
                                             error.what() +
                                             "); end processes that hold many, and try again");
  }
  SEMPER_CO_TRY(const auto status, co_await parts->cluster->status());
  SEMPER_CO_TRY_STATUS(check_version(status.version()));
  SEMPER_CO_TRY_STATUS(co_await make_store(*parts));
  // Housekeeping only: another handle does it where this one cannot.
  static_cast<void>(co_await sweep_lanes(*parts->cluster, parts->layout));
  co_return std::shared_ptr<Backend>(new EtcdBackend(std::move(parts)));
}

// Looks whether the prefix holds a store; makes one where it holds nothing.
Async<void> EtcdBackend::make_store(Parts& parts) {
  pb::TxnRequest look;
  range(*look.add_success(), parts.layout.format());
  pb::TxnRequest make;
  compare_mod(*make.add_compare(), parts.layout.format(), pb::Compare::EQUAL, 0);
  put(*make.add_success(), parts.layout.format(), Bytes(kFormat));
  put(*make.add_success(), parts.layout.stamp(), Bytes(sizeof(Version), '\0'));
  for (int attempt = 0; attempt < kOpenAttempts; ++attempt) {
    SEMPER_CO_TRY(const auto found, co_await parts.cluster->read(look));
    const auto* format = found.responses_size() == 0 ? nullptr : only_row(found.responses(0));
    if (format != nullptr && format->value() == kFormat) co_return Status{};
    if (format != nullptr) {
      co_return fail(ErrorKind::unsupported,
                     "under the prefix " + to_printable(parts.options.prefix) +
                         " lies a store of the format " + to_printable(format->value()) +
                         ", which this version does not know; upgrade, or choose another prefix");
    }
    const auto made = co_await parts.cluster->write(make);
    if (!made && made.error().fate != Fate::unknown && !is_passing(made.error().error)) {
      co_return fail(made.error().error);
    }
  }
  co_return fail(ErrorKind::io, "the store could not be made: the cluster takes no writes");
}

EtcdBackend::~EtcdBackend() {
  // A forked child has none of the threads that ending waits for: what it inherited is left as it
  // is.
  if (is_foreign()) new std::shared_ptr<Parts>(parts_);
}

bool EtcdBackend::is_foreign() const {
  return parts_->process != ::getpid();
}

Status EtcdBackend::check_open() const {
  if (is_foreign()) {
    return fail(
        ErrorKind::unsupported,
        "an etcd: store that was opened before fork() cannot be used in the child, and gRPC does "
        "not survive a fork; let the child exec a program, or open the store in children only");
  }
  if (!parts_->closed.load()) return {};
  return fail(ErrorKind::closed, "the store was closed");
}

const Limits& EtcdBackend::limits() const {
  return kLimits;
}

BackendTraits EtcdBackend::traits() const {
  return {.wants_row_counts = true, .resolves_outcomes = true, .versions_are_commits = true};
}

std::string EtcdBackend::url() const {
  return parts_->options.url;
}

WatchHub& EtcdBackend::watch_hub() {
  return *parts_->hub;
}

std::unique_ptr<EtcdSnapshot> EtcdBackend::new_snapshot() const {
  EtcdSnapshot::Context context;
  context.cluster = parts_->cluster.get();
  context.layout = &parts_->layout;
  context.clock = parts_->env.clock;
  context.stamps = &parts_->stamps;
  context.versions = &parts_->versions;
  context.reads = &parts_->reads;
  context.closed = &parts_->closed;
  context.lifetime = kLimits.transaction_duration;
  Statistics::add(parts_->statistics->snapshots);
  return std::make_unique<EtcdSnapshot>(context, parts_);
}

Async<std::unique_ptr<Snapshot>> EtcdBackend::snapshot() {
  SEMPER_CO_TRY_STATUS(check_open());
  co_return new_snapshot();
}

Async<CommitReceipt> EtcdBackend::commit(CommitRequest request) {
  SEMPER_CO_TRY_STATUS(check_open());
  auto parts = parts_;
  co_return co_await parts->committer->commit(std::move(request));
}

Async<void> EtcdBackend::raise_version(Version floor) {
  SEMPER_CO_TRY_STATUS(check_open());
  SEMPER_CO_TRY_STATUS(check_floor(floor));
  Bytes value;
  append_big_endian_u64(value, floor);
  pb::TxnRequest request;
  auto& below = *request.add_compare();
  below.set_result(pb::Compare::LESS);
  below.set_target(pb::Compare::VALUE);
  below.set_key(parts_->layout.stamp());
  below.set_value(value);
  put(*request.add_success(), parts_->layout.stamp(), std::move(value));
  auto parts = parts_;
  for (int attempt = 1;; ++attempt) {
    const auto written = co_await parts->cluster->write(request);
    if (written) break;
    // It may be done twice, so its outcome need not be known.
    const Error& error = written.error().error;
    if (attempt == kOpenAttempts || !is_passing(error)) co_return fail(error);
  }
  parts->stamps.saw(floor);
  co_return Status{};
}

Async<std::unique_ptr<Watch>> EtcdBackend::watch(BytesView key, Snapshot& seen) {
  SEMPER_CO_TRY_STATUS(check_open());
  auto parts = parts_;
  SEMPER_CO_TRY(const auto state, co_await static_cast<EtcdSnapshot&>(seen).state_of(key));
  const WatchHub::Seen known{state.snapshot, state.key};
  co_return parts->hub->add(parts->layout.stored(key), known);
}

Async<std::string> EtcdBackend::check() {
  SEMPER_CO_TRY_STATUS(check_open());
  std::size_t rows = 0;
  std::size_t bytes = 0;
  KeyRange rest{"", Bytes(kLimits.key_bytes, '\xff')};
  bool more = true;
  while (more) {
    // A scan may take longer than a snapshot lives; each page is consistent in itself.
    const auto view = new_snapshot();
    const PageRequest request(rest, kCheckPageRows);
    SEMPER_CO_TRY(const auto page, co_await view->get_range(request));
    for (const auto& row : page.rows) bytes += row.key.size() + row.value.size();
    rows += page.rows.size();
    more = page.more && !page.rows.empty();
    if (more) rest.begin = key_after(page.rows.back().key);
  }
  auto parts = parts_;
  pb::TxnRequest look;
  range(*look.add_success(), parts->layout.stamp());
  SEMPER_CO_TRY(const auto now, co_await parts->cluster->read(look));
  SEMPER_CO_TRY(const auto hashes, co_await parts->cluster->hashes(now.header().revision()));
  SEMPER_CO_TRY(const auto agreement, compare_members(hashes));
  co_return "read " + std::to_string(rows) + " rows of " + std::to_string(bytes) + " bytes; " +
      agreement;
}

std::vector<std::pair<std::string, std::int64_t>> EtcdBackend::statistics() const {
  const auto& from = *parts_->statistics;
  return {
      {"commits", from.commits},
      {"conflicts", from.conflicts},
      {"requests", from.requests},
      {"largest_request", from.largest_request},
      {"stamps_overtaken", from.stamps_overtaken},
      {"sums_overtaken", from.sums_overtaken},
      {"deferred", from.deferred},
      {"validations", from.validations},
      {"outcomes_lost", from.outcomes_lost},
      {"outcomes_found", from.outcomes_found},
      {"snapshots", from.snapshots},
      {"reads", from.reads},
      {"failovers", from.failovers},
      {"versions_known", static_cast<std::int64_t>(parts_->versions.size())},
      {"watches", from.watches},
      {"watch_streams", from.watch_streams},
      {"watch_events", from.watch_events},
      {"watch_resyncs", from.watch_resyncs},
      {"watch_polls", from.watch_polls},
      {"watch_rescues", from.watch_rescues},
  };
}

Async<void> EtcdBackend::close() {
  auto parts = parts_;
  if (is_foreign()) co_return Status{};
  OneShot<std::monostate> done;
  {
    std::lock_guard lock(parts->closing);
    if (!parts->closers) co_return Status{};
    parts->closers->push_back(done);
  }
  const bool is_first = !parts->closed.exchange(true);
  if (is_first && SEMPER_MUTANT("etcd_closed_by_its_caller")) {
    co_await shut_down(*parts);
  } else if (is_first) {
    asio::co_spawn(parts->scheduler->executor(), shut_down(*parts), asio::detached);
  }
  SEMPER_CO_TRY_STATUS(co_await done.wait());
  co_return Status{};
}

// The parts end what runs on that thread before they go.
Task<void> EtcdBackend::shut_down(Parts& parts) {
  // What waits is committed first.
  static_cast<void>(co_await parts.committer->close());
  parts.hub->close();
  parts.cluster->close();
  std::vector<OneShot<std::monostate>> told;
  {
    std::lock_guard lock(parts.closing);
    told = std::move(*parts.closers);
    parts.closers.reset();
  }
  for (auto& one : told) one.set({});
}

}  // namespace semper::etcd

namespace semper {

Async<std::shared_ptr<Backend>> open_etcd(StoreUrl url, Env env) {
  SEMPER_CO_TRY(auto options, etcd::parse_options(url));
  auto opened = co_await etcd::EtcdBackend::open(std::move(options), env);
  if (!opened) co_return fail(opened.error().in(url.to_string()));
  co_return std::move(*opened);
}

}  // namespace semper
