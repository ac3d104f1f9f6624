#include "durable_server_parts.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <thread>
#include <utility>

#include "load.h"

extern char** environ;

namespace semper::bench {
namespace {

using Steady = std::chrono::steady_clock;
using Kind = Bar::Kind;

// --- the reference
// ---------------------------------------------------------------------------------

// The first number that `bare_sqlite ARGUMENTS` prints.
double bare(const std::string& arguments) {
  const std::string command = program_folder() + "/bare_sqlite " + arguments;
  FILE* pipe = popen(command.c_str(), "r");
  double value = 0;
  if (pipe == nullptr || std::fscanf(pipe, "%lf", &value) != 1 || pclose(pipe) != 0) {
    std::fprintf(stderr, "bench: '%s' failed\n", command.c_str());
    std::exit(1);
  }
  return value;
}

double bare_commit_p50_us(const WorkFolder& folder, const Settings& settings) {
  return bare("commits " + folder.path() + "/bare.db " + std::to_string(settings.seconds()));
}

double bare_rows_per_second(const WorkFolder& folder, const Settings& settings) {
  const std::string file = folder.path() + "/bare-rows.db";
  const double rows = bare("rows " + file + " " + std::to_string(settings.seconds()) + " 1000");
  for (const char* suffix : {"", "-wal", "-shm"}) std::remove((file + suffix).c_str());
  return rows;
}

// --- a store with a host, and loads on it
// ------------------------------------------------------------

class Bench {
 public:
  explicit Bench(const std::string& file) : store_(open_or_exit("sqlite:" + file)), host_(store_) {
    host_.serve<Meter>();
    const Status started = scheduler_.block_on(host_.start());
    if (!started) {
      std::fprintf(stderr, "bench: %s\n", started.error().to_string().c_str());
      std::exit(1);
    }
  }
  ~Bench() {
    static_cast<void>(scheduler_.block_on(host_.stop()));
    static_cast<void>(scheduler_.block_on(store_.close()));
  }

  LoadResult run(Load load) { return run_load(scheduler_, store_, load); }
  void fill(std::size_t count) { bench::fill(scheduler_, store_, count); }
  const Store& store() const { return store_; }
  Scheduler& scheduler() { return scheduler_; }

 private:
  Scheduler scheduler_;
  Store store_;
  Host host_;
};

Load one_entity(Send send, std::size_t workers, double seconds) {
  Load load;
  load.send = send;
  load.workers = workers;
  load.seconds = seconds;
  load.choose = [](std::size_t, std::uint64_t, Random&) { return std::size_t{0}; };
  return load;
}

Load own_entity(Send send, std::size_t workers, double seconds) {
  Load load = one_entity(send, workers, seconds);
  load.choose = [](std::size_t worker, std::uint64_t, Random&) { return worker; };
  return load;
}

// Uniformly over `count` entities that lie `stride` apart.
Load random_entities(Send send, std::size_t workers, double seconds, std::size_t count,
                     std::size_t stride = 1) {
  Load load = one_entity(send, workers, seconds);
  load.choose = [count, stride](std::size_t, std::uint64_t, Random& random) {
    return static_cast<std::size_t>(random.below(count)) * stride;
  };
  return load;
}

// --- parts
// -------------------------------------------------------------------------------------------

void run_call(const Settings& settings, Report& report) {
  WorkFolder folder("call");
  Bench bench(folder.path() + "/store.db");
  bench.run(one_entity(Send::call, 1, settings.seconds() / 4));
  std::vector<double> ours;
  std::vector<double> theirs;
  for (int i = 0; i < settings.rounds(); ++i) {
    progress("one caller, run " + std::to_string(i + 1));
    theirs.push_back(bare_commit_p50_us(folder, settings));
    ours.push_back(median(bench.run(one_entity(Send::call, 1, settings.seconds())).latencies_us));
  }
  report.add({"one caller, inline call, p50",
              ours,
              "us",
              "bare SQLite, one-row WAL synchronous=FULL transaction, p50",
              theirs,
              {Kind::at_most_ratio, 1.25}});
}

void run_callers(const Settings& settings, Report& report) {
  WorkFolder folder("callers");
  Bench bench(folder.path() + "/store.db");
  const std::size_t callers = settings.smoke ? 50 : 1'000;
  std::vector<double> ours;
  std::vector<double> single;
  for (int i = 0; i < settings.rounds(); ++i) {
    progress("many callers, run " + std::to_string(i + 1));
    single.push_back(bench.run(one_entity(Send::call, 1, settings.seconds())).per_second);
    ours.push_back(bench.run(own_entity(Send::call, callers, settings.seconds())).per_second);
  }
  report.add({"calls/s, 1,000 callers on 1,000 entities, one process",
              ours,
              "calls/s",
              "calls/s of one caller",
              single,
              {Kind::at_least_ratio, 20}});
}

void run_casts(const Settings& settings, Report& report) {
  WorkFolder folder("casts");
  Bench bench(folder.path() + "/store.db");
  const std::size_t entities = settings.smoke ? 100 : 10'000;
  bench.fill(entities);
  std::vector<double> one;
  std::vector<double> many;
  std::vector<double> rows;
  for (int i = 0; i < settings.rounds(); ++i) {
    progress("64 publishers, run " + std::to_string(i + 1));
    rows.push_back(bare_rows_per_second(folder, settings));
    one.push_back(bench.run(one_entity(Send::cast, 64, settings.seconds())).per_second);
    many.push_back(
        bench.run(random_entities(Send::cast, 64, settings.seconds(), entities)).per_second);
  }
  report.add({"casts/s, 64 publishers on 1 entity, published and processed",
              one,
              "casts/s",
              "bare SQLite, 100-byte rows/s, 1,000 rows per synchronous transaction",
              rows,
              {Kind::at_least_ratio, 0.25}});
  report.add({"casts/s, 64 publishers over 10,000 entities",
              many,
              "casts/s",
              "the same on 1 entity",
              one,
              {Kind::at_least_ratio, 0.5}});
}

// The resident memory of a process, in MiB.
double resident_mib(pid_t process) {
  std::ifstream statm("/proc/" + std::to_string(process) + "/statm");
  double total = 0;
  double resident = 0;
  statm >> total >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE)) / (1024.0 * 1024.0);
}

struct SharedClock {
  std::atomic<std::int64_t> started_ns;  // the child is serving
  std::atomic<std::int64_t> woken_ns;    // its last callback began
  std::atomic<std::int64_t> count;       // its callbacks: some run again
  std::atomic<std::int64_t> serving;     // consumers that have started
  std::atomic<std::int64_t> committed;   // messages, by all consumers
  std::atomic<std::int64_t> sent;        // by publishers that have ended
};

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Steady::now().time_since_epoch())
      .count();
}

// A file mapped by parent and child.
SharedClock& shared_clock(const std::string& file) {
  const int descriptor = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor < 0 || ftruncate(descriptor, 4096) != 0) std::exit(1);
  void* memory = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  close(descriptor);
  if (memory == MAP_FAILED) std::exit(1);
  return *static_cast<SharedClock*>(memory);
}

class Child {
 public:
  Child(const std::string& role, const std::string& store, const std::string& file) {
    const std::string program = program_folder() + "/bench_durable_server";
    std::string arguments[] = {program, "--role", role, "--store", store, "--file", file};
    char* argv[8] = {};
    for (int i = 0; i < 7; ++i) argv[i] = arguments[i].data();
    if (posix_spawn(&process_, program.c_str(), nullptr, nullptr, argv, environ) != 0) std::exit(1);
  }
  ~Child() {
    if (process_ <= 0) return;
    kill(process_, SIGTERM);
    waitpid(process_, nullptr, 0);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  // Until it has ended by itself.
  void wait() {
    int status = 0;
    if (waitpid(process_, &status, 0) != process_ || status != 0) {
      std::fprintf(stderr, "bench: a publisher process failed\n");
      std::exit(1);
    }
    process_ = 0;
  }
  pid_t process() const { return process_; }

 private:
  pid_t process_ = 0;
};

template <class Condition>
void wait_until(Condition condition) {
  const auto deadline = Steady::now() + std::chrono::seconds(60);
  while (!condition()) {
    if (Steady::now() > deadline) {
      std::fprintf(stderr, "bench: the other process did not answer within a minute\n");
      std::exit(1);
    }
    std::this_thread::yield();
  }
}

void run_wake(const Settings& settings, Report& report) {
  WorkFolder folder("wake");
  const std::string url = "sqlite:" + folder.path() + "/store.db";
  auto& clock = shared_clock(folder.path() + "/clock");
  Scheduler scheduler;
  Store store = open_or_exit(url);
  std::vector<double> overs;
  std::vector<double> commits;
  {
    Child child("consumer", url, folder.path() + "/clock");
    wait_until([&] { return clock.started_ns.load() != 0; });
    auto meter = ref<Meter>(store, "woken");
    const int wakes = settings.smoke ? 20 : 500;
    for (int i = 0; i < wakes; ++i) {
      const std::int64_t before = clock.count.load();
      const std::int64_t start = now_ns();
      auto sent = scheduler.block_on(meter.cast(Meter::Put{message_payload()}));
      const std::int64_t committed = now_ns();
      if (!sent) std::exit(1);
      wait_until([&] { return clock.count.load() > before; });
      commits.push_back(static_cast<double>(committed - start) / 1e3);
      overs.push_back(static_cast<double>(clock.woken_ns.load() - committed) / 1e3);
      // Let the consumer finish and block again, or this would not be a wake-up.
      std::this_thread::sleep_for(std::chrono::milliseconds(3));
    }
  }
  report.add({"another process's consumer runs its callback, after the publisher's commit, p50",
              {median(overs)},
              "us",
              "",
              {},
              {Kind::at_most_value, 100}});
  report.add({"the publisher's commit itself, p50", {median(commits)}, "us", "", {}, {}});
  static_cast<void>(scheduler.block_on(store.close()));
}

void run_queue(const Settings& settings, Report& report) {
  WorkFolder folder("queue");
  const std::string url = "sqlite:" + folder.path() + "/store.db";
  auto& clock = shared_clock(folder.path() + "/clock");
  Scheduler scheduler;
  Store store = open_or_exit(url);
  std::vector<double> one;
  std::vector<double> many;
  std::vector<double> rows;
  {
    Child child("consumer", url, folder.path() + "/clock");
    wait_until([&] { return clock.started_ns.load() != 0; });
    for (int i = 0; i < settings.rounds(); ++i) {
      progress("through the queue, run " + std::to_string(i + 1));
      rows.push_back(bare_rows_per_second(folder, settings));
      for (auto* figures : {&one, &many}) {
        const std::int64_t before = clock.committed.load();
        const auto start = Steady::now();
        const Load load = figures == &one
                              ? one_entity(Send::cast, 64, settings.seconds())
                              : random_entities(Send::cast, 64, settings.seconds(), 10'000);
        const auto sent = static_cast<std::int64_t>(run_load(scheduler, store, load).count);
        wait_until([&] { return clock.committed.load() - before >= sent; });
        figures->push_back(static_cast<double>(sent) /
                           std::chrono::duration<double>(Steady::now() - start).count());
      }
    }
  }
  report.add({"casts/s from one process to another, 64 publishers on 1 entity",
              one,
              "casts/s",
              "bare SQLite, 100-byte rows/s, 1,000 rows per synchronous transaction",
              rows,
              {Kind::at_least_ratio, 0.25}});
  report.add({"casts/s from one process to another, over 10,000 entities",
              many,
              "casts/s",
              "the same on 1 entity",
              one,
              {Kind::at_least_ratio, 0.5}});
  static_cast<void>(scheduler.block_on(store.close()));
}

// Publishers and consumers, each a process of its own: messages/s over 10,000 entities, from the
// start of the first publisher to the last message processed.
double run_processes_once(const Settings& settings, int pairs) {
  WorkFolder folder("processes");
  const std::string url = "sqlite:" + folder.path() + "/store.db";
  const std::string file = folder.path() + "/clock";
  auto& clock = shared_clock(file);
  std::vector<std::unique_ptr<Child>> consumers;
  for (int i = 0; i < pairs; ++i) {
    consumers.push_back(std::make_unique<Child>("consumer", url, file));
    wait_until([&] { return clock.serving.load() == i + 1; });
  }
  const auto start = Steady::now();
  std::vector<std::unique_ptr<Child>> publishers;
  for (int i = 0; i < pairs; ++i) {
    publishers.push_back(
        std::make_unique<Child>(settings.smoke ? "publisher-smoke" : "publisher", url, file));
  }
  for (const auto& publisher : publishers) publisher->wait();
  wait_until([&] { return clock.committed.load() >= clock.sent.load(); });
  return static_cast<double>(clock.sent.load()) /
         std::chrono::duration<double>(Steady::now() - start).count();
}

void run_processes(const Settings& settings, Report& report) {
  std::vector<double> one;
  std::vector<double> four;
  for (int i = 0; i < settings.rounds(); ++i) {
    progress("publishers and consumers, run " + std::to_string(i + 1));
    one.push_back(run_processes_once(settings, 1));
    four.push_back(run_processes_once(settings, 4));
  }
  report.add({"casts/s from a publisher process to a consumer process, over 10,000 entities",
              one,
              "casts/s",
              "",
              {},
              {}});
  report.add({"casts/s from 4 publisher processes to 4 consumer processes",
              four,
              "casts/s",
              "the same with one of each",
              one,
              {Kind::at_least_ratio, 1.0}});
}

void run_million(const Settings& settings, Report& report) {
  WorkFolder folder("million");
  const std::size_t all = settings.entities();
  const std::size_t few = std::min<std::size_t>(all, 1'000);
  std::vector<double> small;
  std::vector<double> among;
  std::vector<double> apart;
  std::vector<double> uniform;
  const std::string big_file = folder.path() + "/big.db";
  {
    Bench tiny(folder.path() + "/small.db");
    Bench big(big_file);
    tiny.fill(few);
    big.fill(all);
    for (int i = 0; i < settings.rounds(); ++i) {
      progress("a large store, run " + std::to_string(i + 1));
      const double seconds = settings.seconds();
      small.push_back(tiny.run(random_entities(Send::cast, 64, seconds, few)).per_second);
      among.push_back(big.run(random_entities(Send::cast, 64, seconds, few)).per_second);
      apart.push_back(big.run(random_entities(Send::cast, 64, seconds, few, all / few)).per_second);
      uniform.push_back(big.run(random_entities(Send::cast, 64, seconds, all)).per_second);
    }
  }
  report.add({"casts/s over 1,000 entities of 1,000,000, neighbours",
              among,
              "casts/s",
              "the same in a store of 1,000",
              small,
              {Kind::at_least_ratio, 0.8}});
  report.add({"casts/s over 1,000 entities of 1,000,000, spread",
              apart,
              "casts/s",
              "the same in a store of 1,000",
              small,
              {Kind::at_least_ratio, 0.8}});
  report.add({"casts/s, uniformly random over 1,000,000 entities",
              uniform,
              "casts/s",
              "over 1,000 of them",
              among,
              {Kind::at_least_ratio, 0.25}});

  // A host of its own process on that store: memory when idle, and how soon it works.
  const std::string url = "sqlite:" + big_file;
  auto& clock = shared_clock(folder.path() + "/clock");
  Scheduler scheduler;
  Store store = open_or_exit(url);
  auto sent = scheduler.block_on(
      ref<Meter>(store, entity_name(all / 2)).cast(Meter::Put{message_payload()}));
  if (!sent) std::exit(1);
  std::vector<double> starts;
  std::vector<double> residents;
  for (int i = 0; i < settings.rounds(); ++i) {
    const std::int64_t before = clock.count.load();
    const auto start = Steady::now();
    Child child("consumer", url, folder.path() + "/clock");
    wait_until([&] { return clock.count.load() > before; });
    starts.push_back(std::chrono::duration<double>(Steady::now() - start).count());
    residents.push_back(resident_mib(child.process()));
    sent = scheduler.block_on(
        ref<Meter>(store, entity_name(all / 3)).cast(Meter::Put{message_payload()}));
    wait_until([&] { return clock.count.load() > before + 1; });
    kill(child.process(), SIGTERM);
    waitpid(child.process(), nullptr, 0);
    sent = scheduler.block_on(
        ref<Meter>(store, entity_name(all / 4)).cast(Meter::Put{message_payload()}));
  }
  report.add({"start of a process on 1,000,000 entities to its first message",
              starts,
              "s",
              "",
              {},
              {Kind::at_most_value, 1}});
  report.add({"resident memory of an idle host over 1,000,000 entities",
              residents,
              "MiB",
              "",
              {},
              {Kind::at_most_value, 64}});
  static_cast<void>(scheduler.block_on(store.close()));
}

volatile sig_atomic_t asked_to_stop = 0;

int run_consumer(const Settings& settings) {
  signal(SIGTERM, [](int) { asked_to_stop = 1; });
  auto& clock = shared_clock(settings.file);
  Scheduler scheduler;
  Store store = open_or_exit(settings.store);
  auto meter = std::make_shared<Meter>();
  meter->on_cast = [&clock] {
    clock.woken_ns.store(now_ns());
    clock.count.fetch_add(1);
  };
  Host host(store);
  host.serve(meter);
  const Status started = scheduler.block_on(host.start());
  if (!started) {
    std::fprintf(stderr, "bench: %s\n", started.error().to_string().c_str());
    return 1;
  }
  clock.started_ns.store(now_ns());
  clock.serving.fetch_add(1);
  for (std::int64_t told = 0; asked_to_stop == 0;) {
    const auto messages = static_cast<std::int64_t>(host.statistics().messages);
    clock.committed.fetch_add(messages - std::exchange(told, messages));
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  static_cast<void>(scheduler.block_on(host.stop()));
  static_cast<void>(scheduler.block_on(store.close()));
  return 0;
}

int run_publisher(const Settings& settings, double seconds) {
  auto& clock = shared_clock(settings.file);
  Scheduler scheduler;
  Store store = open_or_exit(settings.store);
  const Load load = random_entities(Send::cast, 64, seconds, 10'000);
  clock.sent.fetch_add(static_cast<std::int64_t>(run_load(scheduler, store, load).count));
  static_cast<void>(scheduler.block_on(store.close()));
  return 0;
}

}  // namespace

Arguments parse(int argc, char** argv, const std::vector<Part>& known, Settings& settings) {
  return parse_arguments(argc, argv, names_of(known), settings,
                         {{"--store", &settings.store}, {"--file", &settings.file}});
}

const std::vector<Part>& parts() {
  static const std::vector<Part> all = {{"call", run_call},      {"callers", run_callers},
                                        {"casts", run_casts},    {"queue", run_queue},
                                        {"wake", run_wake},      {"processes", run_processes},
                                        {"million", run_million}};
  return all;
}

int run_role(const Settings& settings) {
  if (settings.role == "consumer") return run_consumer(settings);
  if (settings.role == "publisher") return run_publisher(settings, settings.seconds());
  if (settings.role == "publisher-smoke") return run_publisher(settings, 0.2);
  std::fprintf(stderr, "bench_durable_server: unknown role %s\n", settings.role.c_str());
  return 2;
}

}  // namespace semper::bench
