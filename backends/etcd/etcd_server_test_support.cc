#include "etcd_server_test_support.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <stdexcept>
#include <system_error>
#include <thread>

#include "backends/etcd/messages.h"
#include "semper/env/scheduler.h"
#include "semper/rpc/call.h"

namespace semper::etcd::testing {
namespace {

using namespace std::chrono_literals;

constexpr auto kStartDeadline = 60s;

// A port that was free a moment ago.
int free_port() {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  if (socket < 0 || ::bind(socket, reinterpret_cast<sockaddr*>(&address), length) != 0 ||
      ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    throw std::system_error(errno, std::generic_category(), "looking for a free port");
  }
  ::close(socket);
  return ntohs(address.sin_port);
}

// Runs `work` on a thread that lives as long as the process: a child asks to be ended with the thread
// that made it.
void on_lasting_thread(std::function<void()> work) {
  static Scheduler& scheduler = *new Scheduler({.threads = 1, .name = "etcd-parent"});
  scheduler.block_on([](std::function<void()> inner) -> Task<void> {
    inner();
    co_return;
  }(std::move(work)));
}

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

// Starts etcd with these words; what it says goes into `log`. It goes with its parent, however that
// ends.
pid_t spawn_etcd(std::vector<std::string> words, const std::string& log) {
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_t process = -1;
  on_lasting_thread([&] {
    const pid_t child = ::fork();
    if (child == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
      ::dup2(out, STDOUT_FILENO);
      ::dup2(out, STDERR_FILENO);
      ::execv(argv[0], argv.data());
      ::_exit(127);
    }
    process = child;
  });
  if (process < 0) throw std::runtime_error("fork failed");
  return process;
}

std::string make_folder(const std::string& parent) {
  std::string pattern = parent + "/semper-etcd-XXXXXX";
  if (mkdtemp(pattern.data()) == nullptr) {
    throw std::system_error(errno, std::generic_category(), "making a folder like " + pattern);
  }
  return pattern;
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

EtcdServers::EtcdServers(EtcdServerOptions options) : options_(std::move(options)) {
  if (options_.parent_folder.empty()) {
    options_.parent_folder = std::filesystem::temp_directory_path().string();
  }
  folder_ = make_folder(options_.parent_folder);
  nodes_.resize(static_cast<std::size_t>(options_.nodes));
  for (auto& node : nodes_) {
    node.client_port = free_port();
    node.peer_port = free_port();
  }
  for (int i = 0; i < options_.nodes; ++i) spawn(i, false);
  if (options_.client_scheme == "http") wait_until_healthy();
}

EtcdServers::~EtcdServers() {
  for (int i = 0; i < options_.nodes; ++i) stop(i);
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
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
                                    folder_ + "/" + name,
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
  node.process = spawn_etcd(std::move(words), folder_ + "/" + name + ".log");
}

void EtcdServers::wait_until_healthy() {
  const auto until = std::chrono::steady_clock::now() + kStartDeadline;
  for (int i = 0; i < options_.nodes; ++i) {
    while (!answers_on(endpoint(i))) {
      if (std::chrono::steady_clock::now() > until) {
        throw std::runtime_error("etcd at " + endpoint(i) + " did not come up; see " + folder_);
      }
      std::this_thread::sleep_for(20ms);
    }
  }
}

void EtcdServers::stop(int number) {
  auto& node = nodes_[static_cast<std::size_t>(number)];
  if (node.process < 0) return;
  ::kill(node.process, SIGKILL);
  ::waitpid(node.process, nullptr, 0);
  node.process = -1;
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
  ::kill(nodes_[static_cast<std::size_t>(node)].process, SIGSTOP);
}

void EtcdServers::resume(int node) {
  ::kill(nodes_[static_cast<std::size_t>(node)].process, SIGCONT);
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
    : kind_(kind),
      endpoints_(std::move(endpoints)),
      folder_(make_folder(std::filesystem::temp_directory_path().string())),
      port_(free_port()) {
  start();
}

EtcdMiddleman::~EtcdMiddleman() {
  stop();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::string EtcdMiddleman::endpoint() const {
  return "127.0.0.1:" + std::to_string(port_);
}

void EtcdMiddleman::start() {
  const bool proxy = kind_ == Kind::grpc_proxy;
  std::vector<std::string> words = {*etcd_program(), proxy ? "grpc-proxy" : "gateway", "start",
                                    "--endpoints=" + endpoints_, "--listen-addr=" + endpoint()};
  if (proxy) words.push_back("--data-dir=" + folder_ + "/data");
  process_ = spawn_etcd(std::move(words), folder_ + "/log");
  const auto until = std::chrono::steady_clock::now() + kStartDeadline;
  while (!answers_on(endpoint())) {
    if (std::chrono::steady_clock::now() > until) {
      throw std::runtime_error("nothing answers behind " + endpoint() + "; see " + folder_);
    }
    std::this_thread::sleep_for(20ms);
  }
}

void EtcdMiddleman::stop() {
  if (process_ < 0) return;
  ::kill(process_, SIGKILL);
  ::waitpid(process_, nullptr, 0);
  process_ = -1;
}

}  // namespace semper::etcd::testing
