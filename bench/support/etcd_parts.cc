#include "etcd_parts.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <utility>

#include "backends/etcd/etcd_server_test_support.h"
#include "etcd_bare.h"
#include "load.h"

namespace semper::bench::etcd_parts {
namespace {

using Kind = Bar::Kind;
using semper::etcd::testing::EtcdServers;

constexpr std::size_t kPublishers = 64;
constexpr std::size_t kPayloadBytes = 100;

// Which statistics changed by how much between two looks.
class Change {
 public:
  explicit Change(const Store& store) : store_(store), before_(read()) {}
  double of(const std::string& name) const {
    return static_cast<double>(read().at(name) - before_.at(name));
  }

 private:
  std::map<std::string, std::int64_t> read() const {
    std::map<std::string, std::int64_t> all;
    for (const auto& [name, value] : store_.backend().statistics()) all[name] = value;
    return all;
  }

  Store store_;
  std::map<std::string, std::int64_t> before_;
};

// A store, and a host on it unless only publishing is asked for.
class Bench {
 public:
  enum class Serving { yes, no };
  explicit Bench(const std::string& url, Serving serving = Serving::yes)
      : store_(open_or_exit(url)), host_(store_) {
    if (serving == Serving::no) return;
    host_.serve<Meter>();
    const Status started = scheduler_.block_on(host_.start());
    if (!started) {
      std::fprintf(stderr, "bench: %s\n", started.error().to_string().c_str());
      std::exit(1);
    }
    serving_ = true;
  }
  ~Bench() {
    if (serving_) static_cast<void>(scheduler_.block_on(host_.stop()));
    static_cast<void>(scheduler_.block_on(store_.close()));
  }

  LoadResult run(Send send, std::size_t workers, double seconds, std::size_t entity = 0) {
    Load load;
    load.send = send;
    load.workers = workers;
    load.seconds = seconds;
    load.choose = [entity](std::size_t, std::uint64_t, Random&) { return entity; };
    return run_load(scheduler_, store_, load);
  }
  const Store& store() const { return store_; }

 private:
  Scheduler scheduler_;
  Store store_;
  Host host_;
  bool serving_ = false;
};

// This program in another role, until it is told to go; what it prints then is a number.
class Peer {
 public:
  Peer(const Settings& settings, const std::string& role, const std::string& store,
       const std::string& entity) {
    int to_child[2];
    int from_child[2];
    if (pipe(to_child) != 0 || pipe(from_child) != 0) std::exit(1);
    process_ = fork();
    if (process_ == 0) {
      dup2(to_child[0], STDIN_FILENO);
      dup2(from_child[1], STDOUT_FILENO);
      close(to_child[1]);
      close(from_child[0]);
      const std::string program = program_folder() + "/bench_etcd";
      execl(program.c_str(), program.c_str(), "--role", role.c_str(), "--store", store.c_str(),
            "--entity", entity.c_str(), settings.smoke ? "--smoke" : nullptr, nullptr);
      _exit(127);
    }
    close(to_child[0]);
    close(from_child[1]);
    to_ = to_child[1];
    from_ = fdopen(from_child[0], "r");
  }
  ~Peer() {
    close(to_);
    std::fclose(from_);
    waitpid(process_, nullptr, 0);
  }

  void wait_until_ready() { static_cast<void>(number()); }
  void go() {
    if (write(to_, "g", 1) != 1) std::exit(1);
  }
  double number() {
    double value = 0;
    if (std::fscanf(from_, "%lf", &value) != 1) {
      std::fprintf(stderr, "bench: the other process ended early\n");
      std::exit(1);
    }
    return value;
  }

 private:
  pid_t process_ = -1;
  int to_ = -1;
  std::FILE* from_ = nullptr;
};

void say(double number) {
  std::printf("%f\n", number);
  std::fflush(stdout);
}

bool wait_for_go() {
  char go = 0;
  return read(STDIN_FILENO, &go, 1) == 1;
}

// Calls one entity, alone, each time it is told to; tells calls per second, requests, and those of
// them that the other host overtook.
int run_caller(const Settings& settings) {
  Bench bench(settings.store);
  const auto entity = static_cast<std::size_t>(std::atoi(settings.entity.c_str()));
  bench.run(Send::call, 1, settings.seconds() / 4, entity);
  say(0);
  while (wait_for_go()) {
    const Change change(bench.store());
    say(bench.run(Send::call, 1, settings.seconds(), entity).per_second);
    say(change.of("requests"));
    say(change.of("stamps_overtaken"));
  }
  return 0;
}

// Serves; tells the conflicts and commits since it was last told to.
int run_consumer(const Settings& settings) {
  Bench bench(settings.store);
  say(0);
  while (wait_for_go()) {
    const Change change(bench.store());
    if (!wait_for_go()) break;
    say(change.of("conflicts"));
    say(change.of("commits"));
  }
  return 0;
}

// --- parts

void run_call(const Settings& settings, const std::string& url, BareEtcd& bare, Report& report) {
  Bench bench(url + "call/");
  bench.run(Send::call, 1, settings.seconds() / 4);
  std::vector<double> ours;
  std::vector<double> theirs;
  for (int i = 0; i < settings.rounds(); ++i) {
    progress("one caller, run " + std::to_string(i + 1));
    theirs.push_back(bare.range_and_txn_p50_us(settings.seconds()));
    ours.push_back(median(bench.run(Send::call, 1, settings.seconds()).latencies_us));
  }
  report.add({"etcd: one inline call, p50",
              ours,
              "us",
              "bare etcd, one range and one transaction, p50",
              theirs,
              {Kind::at_most_ratio, 1.5}});
}

void run_casts(const Settings& settings, const std::string& url, BareEtcd& bare, Report& report) {
  std::vector<double> inline_casts;
  std::vector<double> queued;
  std::vector<double> puts;
  Bench serving(url + "casts/");
  Bench publishing(url + "queue/", Bench::Serving::no);
  serving.run(Send::cast, kPublishers, settings.seconds() / 4);
  publishing.run(Send::cast, kPublishers, settings.seconds() / 4);
  for (int i = 0; i < settings.rounds(); ++i) {
    progress("64 publishers, run " + std::to_string(i + 1));
    puts.push_back(bare.puts_per_second(kPublishers, kPayloadBytes, settings.seconds()));
    inline_casts.push_back(serving.run(Send::cast, kPublishers, settings.seconds()).per_second);
    queued.push_back(publishing.run(Send::cast, kPublishers, settings.seconds()).per_second);
  }
  report.add({"etcd: casts/s, 64 publishers of 100 B, processed here",
              inline_casts,
              "casts/s",
              "bare etcd puts/s of 100 B at 64 clients",
              puts,
              {Kind::at_least_ratio, 4}});
  report.add({"etcd: casts/s, 64 publishers of 100 B, into the queue",
              queued,
              "casts/s",
              "bare etcd puts/s of 100 B at 64 clients",
              puts,
              {Kind::at_least_ratio, 4}});
}

void run_conflicts(const Settings& settings, const std::string& url, Report& report) {
  const std::string store = url + "conflicts/";
  Bench publishing(store, Bench::Serving::no);
  Peer consumer(settings, "consumer", store, "0");
  consumer.wait_until_ready();
  publishing.run(Send::cast, kPublishers, settings.seconds() / 4);
  std::vector<double> rates;
  std::vector<double> casts;
  for (int i = 0; i < settings.rounds(); ++i) {
    progress("64 publishers and a consumer, run " + std::to_string(i + 1));
    const Change here(publishing.store());
    consumer.go();
    casts.push_back(publishing.run(Send::cast, kPublishers, settings.seconds()).per_second);
    consumer.go();
    const double conflicts = consumer.number() + here.of("conflicts");
    const double commits = consumer.number() + here.of("commits");
    rates.push_back(100.0 * conflicts / (conflicts + commits));
  }
  report.add({"etcd: conflicts of 64 publishers to one entity with one consumer",
              rates,
              "%",
              "",
              {},
              {Kind::at_most_value, 1}});
  report.add({"etcd: casts/s beside that consumer", casts, "casts/s", "", {}, {}});
}

void run_hosts(const Settings& settings, const std::string& url, Report& report) {
  const std::string store = url + "hosts/";
  Peer first(settings, "caller", store, "1");
  Peer second(settings, "caller", store, "2");
  first.wait_until_ready();
  second.wait_until_ready();
  std::vector<double> one;
  std::vector<double> two;
  std::vector<double> overtaken;
  for (int i = 0; i < settings.rounds(); ++i) {
    progress("two hosts, run " + std::to_string(i + 1));
    first.go();
    one.push_back(first.number());
    static_cast<void>(first.number());
    static_cast<void>(first.number());
    first.go();
    second.go();
    double calls = 0;
    double requests = 0;
    double again = 0;
    for (auto* host : {&first, &second}) {
      calls += host->number();
      requests += host->number();
      again += host->number();
    }
    two.push_back(calls);
    overtaken.push_back(100.0 * again / requests);
  }
  report.add({"etcd: calls/s of two hosts on different entities, one caller each",
              two,
              "calls/s",
              "one host",
              one,
              {Kind::at_least_ratio, 1.6}});
  report.add({"etcd: requests of these that the other host overtook", overtaken, "%", "", {}, {}});
}

}  // namespace

Arguments parse(int argc, char** argv, Settings& settings) {
  return parse_arguments(argc, argv, {"call", "casts", "conflicts", "hosts"}, settings,
                         {{"--store", &settings.store}, {"--entity", &settings.entity}});
}

void run(const Settings& settings, Report& report) {
  if (!semper::etcd::testing::etcd_program()) {
    std::printf("skipped: %s\n", semper::etcd::testing::kNoEtcd);
    return;
  }
  WorkFolder folder("etcd");
  semper::etcd::testing::EtcdServerOptions options;
  options.parent_folder = folder.path();
  // As etcd is by default.
  options.arguments = {"--heartbeat-interval", "100", "--election-timeout", "1000"};
  const EtcdServers server(std::move(options));
  const std::string url = "etcd:" + server.endpoints() + "?prefix=";
  BareEtcd bare(server.endpoint(0));
  if (settings.wants("call")) run_call(settings, url, bare, report);
  if (settings.wants("casts")) run_casts(settings, url, bare, report);
  if (settings.wants("conflicts")) run_conflicts(settings, url, report);
  if (settings.wants("hosts")) run_hosts(settings, url, report);
}

int run_role(const Settings& settings) {
  if (settings.role == "caller") return run_caller(settings);
  if (settings.role == "consumer") return run_consumer(settings);
  std::fprintf(stderr, "bench: no role %s\n", settings.role.c_str());
  return 2;
}

}  // namespace semper::bench::etcd_parts
