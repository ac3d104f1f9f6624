#include "rpc_parts.h"

#include <sys/prctl.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "rpc_peer.h"
#include "semper/env/scheduler.h"
#include "semper/rpc/subscribe.h"

namespace semper::bench::rpc_parts {
namespace {

using namespace std::chrono_literals;
using rpc_peer::clock_ns;
using rpc_peer::Peer;
using Clock = std::chrono::steady_clock;
using Batch = stream::UpdateBatch<ByteString>;
using Pipe = PipeStream<ByteString>;
using Success = stream::ConnectionSuccess<stream::NoMetadata>;

constexpr auto kResubscribeDelay = 10ms;

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "bench_rpc: %s\n", why.c_str());
  std::exit(1);
}

double seconds_since(Clock::time_point begun) {
  return std::chrono::duration<double>(Clock::now() - begun).count();
}

Durable<rpc::Channel> channel_to(const std::string& address) {
  rpc::ChannelOptions options;
  options.address = address;
  DurableOptions<rpc::Channel> durable;
  durable.retry = std::nullopt;  // the streams' delay is the only one that is measured
  return rpc::durable_channel(std::move(options), std::move(durable));
}

Pipe open_pipe(const Executor& executor, const Durable<rpc::Channel>& channel, const char* method,
               const Bytes& request) {
  StreamOptions options;
  options.resubscribe_delay = kResubscribeDelay;
  return Pipe::create(executor, channel, rpc::subscribe<Pipe>(method, request), std::move(options));
}

// The next batch; nothing when the connection is lost. Other events are passed over.
Task<std::optional<Batch>> next_batch(Pipe& pipe) {
  while (true) {
    auto event = co_await pipe.next();
    if (!event) give_up(event.error().to_string());
    if (auto* batch = std::get_if<Batch>(&*event)) co_return std::move(*batch);
    if (std::holds_alternative<stream::LostConnection>(*event)) co_return std::nullopt;
  }
}

Task<double> pipe_rate(const Durable<rpc::Channel>& channel, int count) {
  auto pipe = open_pipe(co_await asio::this_coro::executor, channel, rpc_peer::kFlood,
                        std::to_string(count));
  const auto begun = Clock::now();
  int seen = 0;
  while (seen < count) {
    auto batch = co_await next_batch(pipe);
    if (!batch) give_up("a flood ended early");
    seen += static_cast<int>(batch->updates.size());
  }
  const double rate = seen / seconds_since(begun);
  pipe.close();
  co_return rate;
}

Task<double> coroutine_rate(const std::shared_ptr<grpc::Channel>& channel, int count) {
  const auto begun = Clock::now();
  rpc_peer::BareCoroutineStream bare(channel, rpc_peer::kFlood, std::to_string(count));
  int seen = 0;
  while (!(co_await bare.next()).empty()) ++seen;
  co_return seen / seconds_since(begun);
}

double callback_rate(const std::shared_ptr<grpc::Channel>& channel, int count) {
  const auto begun = Clock::now();
  int seen = 0;
  rpc_peer::BareStream bare(channel, rpc_peer::kFlood, std::to_string(count),
                            [&](BytesView) { ++seen; });
  bare.wait_for_end();
  return seen / seconds_since(begun);
}

void measure_rate(const Settings& settings, Report& report) {
  Peer peer;
  const int count = settings.scaled(400'000, 2'000);
  Row row{.name = "updates/s through a PipeStream, 64 B",
          .values = {},
          .unit = "1/s",
          .reference_name = "bare, with a coroutine"};
  row.bar = {Bar::Kind::at_least_ratio, 0.95};
  Row callbacks{.name = "the same, beside callbacks only",
                .values = {},
                .unit = "1/s",
                .reference_name = "bare, no coroutine"};
  Scheduler scheduler;
  const auto bare = rpc_peer::bare_channel(peer.address());
  const auto channel = channel_to(peer.address());
  scheduler.block_on(coroutine_rate(bare, count / 10));
  scheduler.block_on(pipe_rate(channel, count / 10));
  for (int run = 0; run < settings.rounds(); ++run) {
    progress("rate: run " + std::to_string(run + 1));
    row.references.push_back(scheduler.block_on(coroutine_rate(bare, count)));
    row.values.push_back(scheduler.block_on(pipe_rate(channel, count)));
    callbacks.references.push_back(callback_rate(bare, count));
    callbacks.values.push_back(row.values.back());
  }
  report.add(std::move(row));
  report.add(std::move(callbacks));
}

Task<double> pipe_latency(const Durable<rpc::Channel>& channel, int count) {
  auto pipe = open_pipe(co_await asio::this_coro::executor, channel, rpc_peer::kPaced, "");
  std::vector<double> times;
  while (static_cast<int>(times.size()) < count) {
    auto batch = co_await next_batch(pipe);
    if (!batch) give_up("a paced stream was lost");
    const auto now = clock_ns();
    for (const auto& update : batch->updates) {
      times.push_back(static_cast<double>(now - rpc_peer::sent_ns(update.bytes)) / 1e3);
    }
  }
  pipe.close();
  co_return median(std::move(times));
}

Task<double> coroutine_latency(const std::shared_ptr<grpc::Channel>& channel, int count) {
  rpc_peer::BareCoroutineStream bare(channel, rpc_peer::kPaced, "");
  std::vector<double> times;
  while (static_cast<int>(times.size()) < count) {
    const Bytes update = co_await bare.next();
    times.push_back(static_cast<double>(clock_ns() - rpc_peer::sent_ns(update)) / 1e3);
  }
  co_return median(std::move(times));
}

void measure_latency(const Settings& settings, Report& report) {
  Peer peer;
  const int count = settings.scaled(4'000, 50);
  Row row{.name = "p50 from write to update, one each 0.5 ms",
          .values = {},
          .unit = "us",
          .reference_name = "bare, with a coroutine"};
  row.bar = {Bar::Kind::at_most_difference, 5};
  Scheduler scheduler;
  const auto bare = rpc_peer::bare_channel(peer.address());
  const auto channel = channel_to(peer.address());
  scheduler.block_on(coroutine_latency(bare, count / 10));
  for (int run = 0; run < settings.rounds(); ++run) {
    progress("latency: run " + std::to_string(run + 1));
    row.references.push_back(scheduler.block_on(coroutine_latency(bare, count)));
    row.values.push_back(scheduler.block_on(pipe_latency(channel, count)));
  }
  report.add(std::move(row));
}

// Milliseconds from the moment that the new server listens to the first update of it.
Task<double> until_update(Pipe& pipe, std::int64_t listening_ns) {
  while (true) {
    auto batch = co_await next_batch(pipe);
    if (!batch) continue;
    if (rpc_peer::sent_ns(batch->updates.front().bytes) < listening_ns) continue;
    co_return static_cast<double>(clock_ns() - listening_ns) / 1e6;
  }
}

void measure_restart(const Settings& settings, Report& report) {
  const int restarts = settings.scaled(150, 3);
  auto peer = std::make_unique<Peer>();
  const int port = peer->port();
  Scheduler scheduler;
  const auto channel = channel_to(peer->address());
  auto pipe = open_pipe(scheduler.executor(), channel, rpc_peer::kPaced, "");
  scheduler.block_on(until_update(pipe, 0));
  std::vector<double> times;
  for (int i = 0; i < restarts; ++i) {
    progress("restart " + std::to_string(i + 1));
    peer.reset();
    // Long enough for attempts that fail.
    std::this_thread::sleep_for(std::chrono::milliseconds(20 + i % 10));
    peer = std::make_unique<Peer>(port);
    times.push_back(scheduler.block_on(until_update(pipe, peer->listening_since_ns())));
  }
  pipe.close();
  scheduler.block_on(pipe.join());
  Row p99{.name = "first update after a killed server listens, p99",
          .values = {percentile(times, 0.99)},
          .unit = "ms"};
  p99.bar = {Bar::Kind::at_most_value, 50};
  report.add(std::move(p99));
  report.add({.name = "the same, p50", .values = {median(times)}, .unit = "ms"});
}

double resident_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return std::atof(line.c_str() + sizeof "VmRSS:" - 1);
  }
  return 0;
}

Task<void> until_connected(Pipe& pipe) {
  while (true) {
    auto event = co_await pipe.next();
    if (!event) give_up(event.error().to_string());
    if (std::holds_alternative<Success>(*event)) co_return;
  }
}

Task<void> wait_for_news(Pipe& pipe) {
  static_cast<void>(co_await pipe.next());
}

int print_idle_durable(const Settings& settings) {
  Scheduler scheduler;
  const auto channel = channel_to("127.0.0.1:" + std::to_string(settings.port));
  std::vector<Pipe> pipes;
  pipes.reserve(static_cast<std::size_t>(settings.count) + 100);
  const auto add = [&](int count) {
    const auto first = pipes.size();
    for (int i = 0; i < count; ++i) {
      pipes.push_back(open_pipe(scheduler.executor(), channel, rpc_peer::kIdle, ""));
    }
    for (auto i = first; i < pipes.size(); ++i) {
      scheduler.block_on(until_connected(pipes[i]));
      asio::co_spawn(scheduler.executor(), wait_for_news(pipes[i]), asio::detached);
    }
  };
  add(100);
  const double before = resident_kib();
  add(settings.count);
  std::printf("%f\n", (resident_kib() - before) / settings.count);
  std::fflush(stdout);
  scheduler.stop();
  std::_Exit(0);
}

int print_idle_bare(const Settings& settings) {
  const auto channel = rpc_peer::bare_channel("127.0.0.1:" + std::to_string(settings.port));
  std::vector<std::unique_ptr<rpc_peer::BareStream>> streams;
  const auto add = [&](int count) {
    const auto first = streams.size();
    for (int i = 0; i < count; ++i) {
      streams.push_back(
          std::make_unique<rpc_peer::BareStream>(channel, rpc_peer::kIdle, "", [](BytesView) {}));
    }
    for (auto i = first; i < streams.size(); ++i) streams[i]->wait_for_begin();
  };
  add(100);
  const double before = resident_kib();
  add(settings.count);
  std::printf("%f\n", (resident_kib() - before) / settings.count);
  std::fflush(stdout);
  std::_Exit(0);
}

double idle_kib(const char* role, const Peer& peer, int count) {
  rpc_peer::Child child(
      {"--role", role, "--port", std::to_string(peer.port()), "--count", std::to_string(count)});
  return std::atof(child.read_line().c_str());
}

void measure_memory(const Settings& settings, Report& report) {
  const int count = settings.scaled(5'000, 50);
  Row row{.name = "memory of an idle stream, with its reader",
          .values = {},
          .unit = "KiB",
          .reference_name = "bare"};
  row.bar = {Bar::Kind::at_most_difference, 16};
  for (int run = 0; run < std::min(settings.rounds(), 3); ++run) {
    progress("memory: run " + std::to_string(run + 1));
    Peer peer;
    row.references.push_back(idle_kib("idle-bare", peer, count));
    row.values.push_back(idle_kib("idle-durable", peer, count));
  }
  report.add(std::move(row));
}

}  // namespace

Arguments parse(int argc, char** argv, Settings& settings) {
  std::string port;
  std::string count;
  const Arguments result = parse_arguments(argc, argv, names_of(parts()), settings,
                                           {{"--port", &port}, {"--count", &count}});
  settings.port = std::atoi(port.c_str());
  settings.count = std::atoi(count.c_str());
  return result;
}

const std::vector<Part>& parts() {
  static const std::vector<Part> all = {{"rate", measure_rate},
                                        {"latency", measure_latency},
                                        {"restart", measure_restart},
                                        {"memory", measure_memory}};
  return all;
}

int run_role(const Settings& settings) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (settings.role == "idle-durable") return print_idle_durable(settings);
  if (settings.role == "idle-bare") return print_idle_bare(settings);
  std::fprintf(stderr, "bench_rpc: no role %s\n", settings.role.c_str());
  return 2;
}

}  // namespace semper::bench::rpc_parts
