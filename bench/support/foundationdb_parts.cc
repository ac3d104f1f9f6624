#include "foundationdb_parts.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "foundationdb_bare.h"
#include "load.h"

namespace semper::bench {
namespace {

using Kind = Bar::Kind;

constexpr const char* kPrefix = "semper-bench-";

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string url_of(const std::string& part) {
  return "fdb:" + fdb_cluster_file() + "?prefix=" + kPrefix + part + "-" +
         std::to_string(::getpid());
}

void must(const Status& status) {
  if (status) return;
  std::fprintf(stderr, "bench: %s\n", status.error().to_string().c_str());
  std::exit(1);
}

// A store in the cluster with a host, the reference on the same cluster, and loads.
class Bench {
 public:
  explicit Bench(const std::string& part)
      : url_(url_of(part)),
        store_(open_or_exit(url_)),
        bare_(environment("SEMPER_FDB_LIBRARY"), fdb_cluster_file()),
        host_(store_) {
    host_.serve<Meter>();
    must(scheduler_.block_on(host_.start()));
  }
  ~Bench() {
    must(scheduler_.block_on(host_.stop()));
    must(scheduler_.block_on(store_.close()));
    bare_.clear("\x02" + std::string(kPrefix));
  }

  LoadResult run(const Load& load) { return run_load(scheduler_, store_, load); }
  LoadResult run_on(const Store& store, const Load& load) {
    return run_load(scheduler_, store, load);
  }
  const std::string& url() const { return url_; }
  const Store& store() const { return store_; }
  BareFdb& bare() { return bare_; }
  Scheduler& scheduler() { return scheduler_; }

 private:
  std::string url_;
  Scheduler scheduler_;
  Store store_;
  BareFdb bare_;
  Host host_;
};

Load one_entity(Send send, std::size_t workers, double seconds, std::size_t entity = 0) {
  Load load;
  load.send = send;
  load.workers = workers;
  load.seconds = seconds;
  load.choose = [entity](std::size_t, std::uint64_t, Random&) { return entity; };
  return load;
}

void run_call(const Settings& settings, Report& report) {
  Bench bench("call");
  bench.run(one_entity(Send::call, 1, settings.seconds() / 4));
  std::vector<double> ours;
  std::vector<double> theirs;
  for (int i = 0; i < settings.rounds(); ++i) {
    progress("one caller, run " + std::to_string(i + 1));
    theirs.push_back(median(bench.bare().calls(settings.seconds())));
    ours.push_back(median(bench.run(one_entity(Send::call, 1, settings.seconds())).latencies_us));
  }
  report.add({"fdb: one caller, inline call, p50",
              ours,
              "us",
              "bare C API, the same reads and writes, p50",
              theirs,
              {Kind::at_most_ratio, 1.3}});
}

void run_casts(const Settings& settings, Report& report) {
  Bench bench("casts");
  bench.run(one_entity(Send::cast, 64, settings.seconds() / 4));
  std::vector<double> ours;
  std::vector<double> theirs;
  for (int i = 0; i < settings.rounds(); ++i) {
    progress("64 publishers, run " + std::to_string(i + 1));
    theirs.push_back(bench.bare().messages_per_second(64, settings.seconds()));
    ours.push_back(bench.run(one_entity(Send::cast, 64, settings.seconds())).per_second);
  }
  report.add({"fdb: casts/s, 64 publishers on 1 entity, published and processed",
              ours,
              "casts/s",
              "bare C API, one message per transaction, 64 publishers and a consumer",
              theirs,
              {Kind::at_least_ratio, 40}});
}

std::int64_t figure(const Store& store, std::string_view name) {
  for (const auto& [key, value] : store.backend().statistics()) {
    if (key == name) return value;
  }
  return 0;
}

// Publishers on a handle that serves nothing, so that every message goes through the queue.
void run_conflicts(const Settings& settings, Report& report) {
  Bench bench("conflicts");
  const Store publishing = open_or_exit(bench.url());
  std::vector<double> shares;
  std::vector<double> rates;
  for (int i = 0; i < settings.rounds(); ++i) {
    progress("64 publishers, one consumer, run " + std::to_string(i + 1));
    const auto count = [&](std::string_view name) {
      return static_cast<double>(figure(publishing, name) + figure(bench.store(), name));
    };
    const double commits = count("commits");
    const double conflicts = count("conflicts");
    const auto load = bench.run_on(publishing, one_entity(Send::cast, 64, settings.seconds()));
    rates.push_back(load.per_second);
    const double refused = count("conflicts") - conflicts;
    const double all = count("commits") - commits + refused;
    shares.push_back(all > 0 ? 100 * refused / all : 0);
  }
  must(bench.scheduler().block_on(publishing.close()));
  report.add({"fdb: casts/s through the queue, 64 publishers, 1 entity", rates, "casts/s"});
  report.add({.name = "fdb: commits refused as conflicts, the same",
              .values = shares,
              .unit = "%",
              .bar = {Kind::at_most_value, 1}});
}

// `count` processes, each with its own entity: the sum of their casts/s.
double processes(const Settings& settings, const std::string& url, int count) {
  std::vector<FILE*> pipes;
  for (int i = 0; i < count; ++i) {
    const std::string command = program_folder() + "/bench_foundationdb --role load --store '" +
                                url + "' --file " + std::to_string(i) +
                                (settings.smoke ? " --smoke" : "");
    pipes.push_back(::popen(command.c_str(), "r"));
  }
  double sum = 0;
  for (FILE* pipe : pipes) {
    double rate = 0;
    if (pipe == nullptr || std::fscanf(pipe, "%lf", &rate) != 1 || ::pclose(pipe) != 0) {
      std::fprintf(stderr, "bench: a process of its own failed\n");
      std::exit(1);
    }
    sum += rate;
  }
  return sum;
}

void run_hosts(const Settings& settings, Report& report) {
  const Bench bench("hosts");
  std::vector<double> two;
  std::vector<double> one;
  for (int i = 0; i < settings.rounds(); ++i) {
    progress("two hosts, run " + std::to_string(i + 1));
    one.push_back(processes(settings, bench.url(), 1));
    two.push_back(processes(settings, bench.url(), 2));
  }
  report.add({"fdb: casts/s of two hosts on different entities",
              two,
              "casts/s",
              "one host",
              one,
              {Kind::at_least_ratio, 1.6}});
}

}  // namespace

std::string fdb_cluster_file() {
  return environment("SEMPER_TEST_FDB_CLUSTER_FILE");
}

const std::vector<Part>& fdb_parts() {
  static const std::vector<Part> all = {
      {"call", run_call}, {"casts", run_casts}, {"conflicts", run_conflicts}, {"hosts", run_hosts}};
  return all;
}

int run_fdb_role(const Settings& settings) {
  if (settings.role != "load") {
    std::fprintf(stderr, "bench_foundationdb: unknown role %s\n", settings.role.c_str());
    return 2;
  }
  Scheduler scheduler;
  const Store store = open_or_exit(settings.store);
  const auto entity = static_cast<std::size_t>(std::atoi(settings.file.c_str()));
  LoadResult result;
  {
    Host host(store);
    host.serve<Meter>();
    must(scheduler.block_on(host.start()));
    // Few publishers, so that the hosts and not the cluster are measured.
    run_load(scheduler, store, one_entity(Send::cast, 8, settings.seconds() / 4, entity));
    result = run_load(scheduler, store, one_entity(Send::cast, 8, settings.seconds(), entity));
    must(scheduler.block_on(host.stop()));
  }
  must(scheduler.block_on(store.close()));
  std::printf("%f\n", result.per_second);
  return 0;
}

}  // namespace semper::bench
