#include "world.h"

#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <utility>

#include "semper/base/cbor.h"
#include "semper/base/log.h"
#include "semper/store/tuple_stream.h"
#include "semper/testing/seed.h"
#include "semper/testing/temporary_folder.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;

// Simulated time after which a case counts as stuck.
constexpr Duration kSimulatedLimit = 2h;
constexpr std::size_t kLoggedLines = 1000;

// The log of the case that runs; shown only where it fails.
class Logged {
 public:
  void clear() {
    std::lock_guard lock(mutex_);
    lines_.clear();
  }
  void add(std::string line) {
    std::lock_guard lock(mutex_);
    if (lines_.size() < kLoggedLines) lines_.push_back(std::move(line));
  }
  std::vector<std::string> lines() const {
    std::lock_guard lock(mutex_);
    return lines_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

Logged& the_log() {
  static auto& log = *new Logged();
  return log;
}

std::string memory_url(const std::string&, int number) {
  return "memory:durable-server-" + std::to_string(number);
}

// A number that no other store of this process has.
int next_number() {
  static std::atomic<int> number{0};
  return ++number;
}

Bytes tenant_tuple(std::initializer_list<std::int64_t> numbers) {
  Bytes key = Tenant::default_prefix();
  TupleWriter writer(key);
  for (const auto number : numbers) writer.add(number);
  return key;
}

}  // namespace

std::string at(const std::source_location& where) {
  return std::string(where.file_name()) + ":" + std::to_string(where.line()) + ": ";
}

void PrintTo(const WorldKind& kind, std::ostream* out) {
  *out << kind.name;
}

std::vector<WorldKind> worlds() {
  StoreFaults faults;
  faults.conflict = 0.05;
  faults.delay = 0.2;
  faults.delay_by = 3ms;
  faults.watch_late = 0.2;
  faults.watch_spurious = 0.1;
  std::vector<WorldKind> kinds;
  kinds.push_back({"memory", TimeKind::simulated, {}, 0, memory_url});
  kinds.push_back({"memory_with_faults", TimeKind::simulated, faults, 0, memory_url});
  kinds.push_back({"memory_with_threads", TimeKind::real, {}, 0, memory_url});
#ifdef SEMPER_TEST_SQLITE
  kinds.push_back({"sqlite", TimeKind::real, {}, 0, [](const std::string& folder, int number) {
                     return "sqlite:" + folder + "/" + std::to_string(number) + ".db";
                   }});
#endif
  if (const char* cluster = std::getenv("SEMPER_TEST_FDB_CLUSTER_FILE")) {
    // The folder's name keeps the stores of one run from those of another.
    kinds.push_back(
        {"fdb", TimeKind::real, {}, 0, [cluster](const std::string& folder, int number) {
           return "fdb:" + std::string(cluster) + "?prefix=semper-test-" +
                  std::filesystem::path(folder).filename().string() + "-" + std::to_string(number);
         }});
  }
  if (const char* endpoints = std::getenv("SEMPER_TEST_ETCD_ENDPOINTS")) {
    kinds.push_back(
        {"etcd", TimeKind::real, {}, 0, [endpoints](const std::string& folder, int number) {
           return "etcd:" + std::string(endpoints) +
                  "?prefix=" + std::filesystem::path(folder).filename().string() + "-" +
                  std::to_string(number) + "/";
         }});
  }
  return kinds;
}

std::vector<WorldKind> worlds_in(TimeKind time) {
  auto kinds = worlds();
  std::erase_if(kinds, [&](const WorldKind& kind) { return kind.time != time; });
  return kinds;
}

std::vector<WorldKind> calm_worlds() {
  auto kinds = worlds_in(TimeKind::simulated);
  std::erase_if(kinds, [](const WorldKind& kind) { return kind.faults.conflict > 0; });
  return kinds;
}

HostOptions quick_options() {
  HostOptions options;
  // Longer than a busy machine keeps a renewal waiting.
  options.lock_lease = 1s;
  options.host_lease = 300ms;
  options.message_backoff = {.initial = 1ms, .maximum = 4ms};
  return options;
}

Process::Process(Store store, std::unique_ptr<asio::io_context> loop,
                 std::unique_ptr<Scheduler> threads)
    : loop_(std::move(loop)),
      threads_(std::move(threads)),
      store_(std::make_unique<Store>(std::move(store))) {}

Process::~Process() {
  kill();
}

Executor Process::executor() {
  if (loop_) return loop_->get_executor();
  return threads_->executor();
}

void Process::kill() {
  loop_.reset();
  threads_.reset();
  host_.reset();
  store_.reset();
}

World::World(WorldKind kind, std::string folder, std::string url_parameters)
    : kind_(std::move(kind)), url_(kind_.url(folder, next_number()) + url_parameters) {
  if (is_simulated()) {
    random_ = std::make_unique<SeededRandom>(test_seed() + kind_.seed_offset);
    env_ = Env{&simulated_clock_, random_.get()};
    main_loop_ = std::make_unique<asio::io_context>(1);
  } else {
    main_threads_ = std::make_unique<Scheduler>();
  }
}

World::~World() {
  processes_.clear();
  main_loop_.reset();
  main_threads_.reset();
  store_.reset();
}

void World::run(const std::function<Task<void>(World&)>& body) {
  auto whole = [](World& world, const std::function<Task<void>(World&)>& program) -> Task<void> {
    world.store_ = std::make_unique<Store>(co_await world.open());
    co_await program(world);
  };
  if (is_simulated()) return run_simulated(whole(*this, body));
  main_threads_->block_on(whole(*this, body));
}

void World::run_simulated(Task<void> whole) {
  bool done = false;
  std::exception_ptr thrown;
  asio::co_spawn(*main_loop_, std::move(whole), [&](std::exception_ptr error) {
    thrown = error;
    done = true;
  });
  allow(kSimulatedLimit);
  while (!done) {
    if (poll_loops()) continue;
    if (!simulated_clock_.advance_to_next_timer(latest_)) {
      throw CaseFailure("the simulation is stuck: nothing can wake what still waits");
    }
  }
  if (thrown) std::rethrow_exception(thrown);
}

// One handler of each loop. False: nothing was ready.
bool World::poll_loops() {
  main_loop_->restart();
  bool ran = main_loop_->poll_one() > 0;
  // By index: what runs here may begin and kill processes.
  for (std::size_t i = 0; i < processes_.size(); ++i) {
    auto* loop = processes_[i]->loop_.get();
    if (loop == nullptr || processes_[i]->frozen_) continue;
    loop->restart();
    ran = loop->poll_one() > 0 || ran;
  }
  return ran;
}

Task<Store> World::open(Duration calendar) {
  Env env = env_;
  if (calendar != Duration(0)) {
    other_clocks_.push_back(std::make_unique<SkewedClock>(*env_.clock, calendar));
    env.clock = other_clocks_.back().get();
  }
  if (is_steady()) {
    StoreOptions options{env};
    co_return must(co_await open_store(url_, options));
  }
  register_builtin_backends();
  auto backend = must(co_await open_backend(url_, env));
  co_return Store(std::make_shared<FaultyBackend>(std::move(backend), env, kind_.faults), env);
}

Task<Store> World::open_faulty(std::shared_ptr<FaultyBackend>& faults) {
  register_builtin_backends();
  auto backend = must(co_await open_backend(url_, env_));
  faults = std::make_shared<FaultyBackend>(std::move(backend), env_);
  co_return Store(faults, env_);
}

Process* World::loop(const Store& store, std::size_t threads) {
  if (is_simulated()) {
    processes_.push_back(
        std::make_unique<Process>(store, std::make_unique<asio::io_context>(1), nullptr));
  } else {
    SchedulerOptions options{threads, "test-process"};
    processes_.push_back(
        std::make_unique<Process>(store, nullptr, std::make_unique<Scheduler>(std::move(options))));
  }
  return processes_.back().get();
}

Task<Process*> World::process(HostOptions options, Duration calendar) {
  const Store store = co_await open(calendar);
  co_return process(store, std::move(options));
}

Process* World::process(const Store& store, HostOptions options) {
  Process* made = loop(store, std::max<std::size_t>(options.threads, 1));
  options.executor = made->executor();
  made->host_ = std::make_unique<Host>(store, std::move(options));
  return made;
}

Duration World::patience() const {
  return is_simulated() ? Duration(5min) : Duration(20s);
}

Duration World::poll_interval() const {
  return is_simulated() ? Duration(5ms) : Duration(1ms);
}

Task<void> World::until_clean(std::source_location where) {
  Outstanding left;
  bool clean = false;
  try {
    auto look = [&]() -> Task<bool> {
      left = must(co_await count_outstanding(store()));
      clean = left.entities_with_work + left.sessions + left.replies + left.locks == 0;
      co_return clean;
    };
    co_await eventually(look, where);
  } catch (const CaseFailure&) {
    EXPECT_TRUE(clean) << at(where) << "left behind: " << left.entities_with_work
                       << " index entries, " << left.sessions << " sessions, " << left.replies
                       << " replies, " << left.locks << " locks";
  }
}

Task<void> World::until_processed(const RawRef& ref, std::source_location where) {
  auto look = [&]() -> Task<bool> { co_return must(co_await ref.queue_length()) == 0; };
  co_await eventually(look, where);
}

Task<EntityView> World::look_at(EntityId id) {
  co_return must(co_await inspect(store(), std::move(id)));
}

Task<std::vector<DeadLetterView>> World::letters_of(EntityId id) {
  co_return must(co_await list_dead_letters(*store_, std::move(id)));
}

Task<std::vector<KeyValue>> World::rows(KeyRange range) {
  auto read = [&](Transaction& transaction) -> Async<std::vector<KeyValue>> {
    RangeOptions options;
    options.mode = ReadMode::snapshot;
    SEMPER_CO_TRY(auto page, co_await transaction.get_range(range, options));
    co_return std::move(page.rows);
  };
  co_return must(co_await store().transact(read));
}

Task<void> World::put(Bytes key, Bytes value) {
  auto write = [&](Transaction& transaction) -> Async<void> {
    transaction.set(key, value);
    co_return Status{};
  };
  must(co_await store().transact(write));
}

Task<void> World::in_parallel(int count, std::function<Task<void>(int)> body) {
  struct Gathering {
    std::mutex mutex;
    int left;
    std::exception_ptr thrown;
    OneShot<std::monostate> all;
  };
  auto gathering = std::make_shared<Gathering>();
  gathering->left = count;
  const auto executor = co_await asio::this_coro::executor;
  for (int i = 0; i < count; ++i) {
    asio::co_spawn(executor, body(i), [gathering](std::exception_ptr error) {
      std::lock_guard lock(gathering->mutex);
      if (error && !gathering->thrown) gathering->thrown = error;
      if (--gathering->left == 0) gathering->all.set({});
    });
  }
  if (count > 0) must(co_await gathering->all.wait());
  if (gathering->thrown) std::rethrow_exception(gathering->thrown);
}

std::vector<std::string> World::logged() const {
  return the_log().lines();
}

Bytes entity_key(const EntityId& id, std::int64_t part) {
  Bytes key = tenant_tuple({1});
  TupleWriter writer(key);
  writer.add_text(id.type);
  writer.add_text(id.id);
  writer.add(part);
  return key;
}

Bytes limit_tuple() {
  return tenant_tuple({18});
}

KeyRange entity_range(const EntityId& id, std::int64_t part) {
  const Bytes key = entity_key(id, part);
  return {key + '\x00', key + '\xff'};
}

KeyRange session_space() {
  const Bytes key = tenant_tuple({4});
  return {key, key + '\xff'};
}

KeyRange host_space() {
  const Bytes key = tenant_tuple({5});
  return {key + '\x00', key + '\xff'};  // without the wake-up counter
}

Bytes session_row_key(std::string_view session) {
  Bytes key = tenant_tuple({4});
  TupleWriter writer(key);
  writer.add_text(to_hex(session));
  return key;
}

Bytes host_row_key(std::string_view host) {
  Bytes key = tenant_tuple({5});
  TupleWriter writer(key);
  writer.add_text(to_hex(host));
  return key;
}

Bytes alive_row_of_0_1_0(std::string_view name, std::uint64_t renewals, std::int64_t renewed_ms,
                         const std::vector<std::string>& types) {
  Bytes row;
  cbor::Writer writer(row);
  writer.array(4);
  writer.text(name);
  writer.unsigned_integer(renewals);
  writer.integer(renewed_ms);
  writer.array(types.size());
  for (const auto& type : types) writer.text(type);
  return row;
}

void ServerTest::run(const std::function<Task<void>(World&)>& body, std::string url_parameters) {
  the_log().clear();
  set_log_sink([](LogLevel level, std::string_view component, std::string_view message) {
    if (level < LogLevel::warning) return;
    the_log().add(std::string(to_string(level)) + " " + std::string(component) + ": " +
                  std::string(message));
  });
  const TemporaryFolder folder;
  try {
    World world(GetParam(), folder.path(), std::move(url_parameters));
    world.run(body);
  } catch (const std::exception& exception) {
    ADD_FAILURE() << exception.what();
  }
  if (HasFailure()) {
    for (const auto& line : the_log().lines()) std::cerr << "  logged " << line << "\n";
  }
}

}  // namespace semper::testing
