#include "etcd_server_test_support.h"

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "backends/etcd/messages.h"
#include "semper/env/scheduler.h"
#include "semper/rpc/call.h"
#include "semper/testing/free_port.h"

namespace semper::etcd::testing {
namespace {

using namespace std::chrono_literals;

constexpr auto kStartDeadline = 60s;
constexpr int kStarts = 5;

std::string variable_of(int nodes) {
  return "SEMPER_TEST_ETCD_SHARED_" + std::to_string(nodes);
}

bool answers_on(const std::string& endpoint) {
  Scheduler scheduler;
  return scheduler.block_on([](std::string address) -> Task<bool> {
    rpc::ChannelOptions options;
    options.address = address;
    options.connect_deadline = 1s;
    auto channel = co_await rpc::connect(options);
    if (!channel) co_return false;
    pb::RangeRequest request;
    request.set_key("health");
    rpc::CallOptions call;
    call.deadline = 2s;
    Bytes bytes = request.SerializeAsString();
    const auto answer =
        co_await rpc::call(*channel, kRangeMethod, std::move(bytes), std::move(call));
    co_return answer.has_value();
  }(endpoint));
}

// Starts etcd with these words; what it says goes into `log`.
semper::testing::ChildProcess start_etcd(const std::vector<std::string>& words,
                                         const std::string& log) {
  semper::testing::ProgramToStart program{words.front()};
  program.arguments.assign(words.begin() + 1, words.end());
  program.log = log;
  program.ends_with_parent = true;
  return semper::testing::ChildProcess(std::move(program));
}

std::filesystem::path parent_of(const EtcdServerOptions& options) {
  return options.parent_folder.empty() ? std::filesystem::temp_directory_path()
                                       : std::filesystem::path(options.parent_folder);
}

}  // namespace

std::optional<std::string> etcd_program() {
  if (const char* named = std::getenv("SEMPER_TEST_ETCD")) return named;
  for (const char* folder : {"/usr/bin/", "/usr/local/bin/"}) {
    const std::string path = std::string(folder) + "etcd";
    if (::access(path.c_str(), X_OK) == 0) return path;
  }
  return std::nullopt;
}

EtcdServers::EtcdServers(EtcdServerOptions options)
    : options_(std::move(options)), folder_(parent_of(options_)) {
  nodes_.resize(static_cast<std::size_t>(options_.nodes));
  for (int attempt = 1;; ++attempt) {
    for (auto& node : nodes_) {
      node.client_port = semper::testing::free_port();
      node.peer_port = semper::testing::free_port();
    }
    for (int i = 0; i < options_.nodes; ++i) spawn(i, false);
    if (options_.client_scheme != "http" || wait_until_healthy()) return;
    // A port was free when it was drawn, and another program's when etcd wanted it.
    if (attempt == kStarts) throw std::runtime_error("etcd ended at once; see " + folder());
    for (int i = 0; i < options_.nodes; ++i) {
      stop(i);
      std::filesystem::remove_all(folder_.path("n" + std::to_string(i)));
    }
  }
}

EtcdServers::~EtcdServers() {
  for (int i = 0; i < options_.nodes; ++i) stop(i);
}

std::string EtcdServers::endpoint(int node) const {
  return "127.0.0.1:" + std::to_string(nodes_[static_cast<std::size_t>(node)].client_port);
}

std::string EtcdServers::endpoints() const {
  std::string all;
  for (int i = 0; i < options_.nodes; ++i) all += (i == 0 ? "" : ",") + endpoint(i);
  return all;
}

void EtcdServers::spawn(int number, bool existing) {
  auto& node = nodes_[static_cast<std::size_t>(number)];
  const std::string name = "n" + std::to_string(number);
  const std::string client =
      options_.client_scheme + "://127.0.0.1:" + std::to_string(node.client_port);
  const auto peer = [this](std::size_t i) {
    return "http://127.0.0.1:" + std::to_string(nodes_[i].peer_port);
  };
  std::string cluster;
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    cluster += (i == 0 ? "n" : ",n") + std::to_string(i) + "=" + peer(i);
  }
  std::vector<std::string> words = {*etcd_program(),
                                    "--name",
                                    name,
                                    "--data-dir",
                                    folder_.path(name),
                                    "--listen-client-urls",
                                    client,
                                    "--advertise-client-urls",
                                    client,
                                    "--listen-peer-urls",
                                    peer(static_cast<std::size_t>(number)),
                                    "--initial-advertise-peer-urls",
                                    peer(static_cast<std::size_t>(number)),
                                    "--initial-cluster",
                                    cluster,
                                    "--initial-cluster-state",
                                    existing ? "existing" : "new",
                                    "--logger",
                                    "zap",
                                    "--log-level",
                                    "error"};
  words.insert(words.end(), options_.arguments.begin(), options_.arguments.end());
  node.process.emplace(start_etcd(words, folder_.path(name + ".log")));
}

bool EtcdServers::wait_until_healthy() {
  const auto until = std::chrono::steady_clock::now() + kStartDeadline;
  for (int i = 0; i < options_.nodes; ++i) {
    while (!answers_on(endpoint(i))) {
      // The others wait for it.
      for (auto& node : nodes_) {
        if (!node.process->is_running()) return false;
      }
      if (std::chrono::steady_clock::now() > until) {
        throw std::runtime_error("etcd at " + endpoint(i) + " did not come up; see " + folder());
      }
      std::this_thread::sleep_for(20ms);
    }
  }
  return true;
}

void EtcdServers::stop(int number) {
  nodes_[static_cast<std::size_t>(number)].process.reset();
}

void EtcdServers::restart(int number) {
  spawn(number, true);
}

void EtcdServers::start(int number) {
  spawn(number, true);
  const auto until = std::chrono::steady_clock::now() + kStartDeadline;
  while (!answers_on(endpoint(number)) && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(20ms);
  }
}

void EtcdServers::pause(int node) {
  nodes_[static_cast<std::size_t>(node)].process->send_signal(SIGSTOP);
}

void EtcdServers::resume(int node) {
  nodes_[static_cast<std::size_t>(node)].process->send_signal(SIGCONT);
}

EtcdServers& EtcdServers::shared(int nodes) {
  static std::mutex mutex;
  static std::map<int, std::unique_ptr<EtcdServers>> clusters;
  std::lock_guard lock(mutex);
  auto& cluster = clusters[nodes];
  if (!cluster) {
    EtcdServerOptions options;
    options.nodes = nodes;
    cluster = std::make_unique<EtcdServers>(std::move(options));
    ::setenv(variable_of(nodes).c_str(), cluster->endpoints().c_str(), 1);
  }
  return *cluster;
}

std::string EtcdServers::shared_endpoints(int nodes) {
  if (const char* given = std::getenv(variable_of(nodes).c_str())) return given;
  return shared(nodes).endpoints();
}

EtcdMiddleman::EtcdMiddleman(Kind kind, std::string endpoints)
    : kind_(kind), endpoints_(std::move(endpoints)), port_(semper::testing::free_port()) {
  start();
}

EtcdMiddleman::~EtcdMiddleman() {
  stop();
}

std::string EtcdMiddleman::endpoint() const {
  return "127.0.0.1:" + std::to_string(port_);
}

void EtcdMiddleman::start() {
  const bool proxy = kind_ == Kind::grpc_proxy;
  std::vector<std::string> words = {*etcd_program(), proxy ? "grpc-proxy" : "gateway", "start",
                                    "--endpoints=" + endpoints_, "--listen-addr=" + endpoint()};
  if (proxy) words.push_back("--data-dir=" + folder_.path("data"));
  process_.emplace(start_etcd(words, folder_.path("log")));
  const auto until = std::chrono::steady_clock::now() + kStartDeadline;
  while (!answers_on(endpoint())) {
    if (std::chrono::steady_clock::now() > until) {
      throw std::runtime_error("nothing answers behind " + endpoint() + "; see " + folder_.path());
    }
    std::this_thread::sleep_for(20ms);
  }
}

void EtcdMiddleman::stop() {
  process_.reset();
}

}  // namespace semper::etcd::testing
