#include "etcd_cluster.h"

#include <signal.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <thread>

namespace semper::testing {
namespace {

constexpr auto kComesUpWithin = std::chrono::seconds(60);
constexpr auto kBetweenHealthLooks = std::chrono::milliseconds(100);

bool wait_for(const std::function<bool()>& condition) {
  // Looks are counted, not time: this test may be stopped itself.
  for (auto looks = kComesUpWithin / kBetweenHealthLooks; looks > 0; --looks) {
    if (condition()) return true;
    std::this_thread::sleep_for(kBetweenHealthLooks);
  }
  return false;
}

}  // namespace

std::optional<std::string> EtcdCluster::obstacle() {
  for (const char* name : {"etcd", "etcdctl"}) {
    if (!find_program(name)) {
      return std::string(name) + " is not installed (Debian: etcd-server, etcd-client)";
    }
  }
  return Lab::obstacle();
}

EtcdCluster::EtcdCluster(EtcdClusterOptions options) : options_(std::move(options)) {
  Lab::enter();
  for (int i = 0; i < options_.nodes; ++i) {
    const std::string name = "n" + std::to_string(i + 1);
    const std::string data = options_.folder + "/" + name;
    if (options_.disks == EtcdClusterOptions::Disks::own) {
      const auto why_not = SlowDisk::mount(data + ".image", data);
      if (why_not) throw std::runtime_error(*why_not);
    }
    nodes_.push_back({Machine(), name, data, data + ".log", std::nullopt});
  }
  for (int i = 0; i < options_.nodes; ++i) start(i);
  if (!wait_until_healthy()) {
    throw std::runtime_error("etcd does not come up; see the logs in " + options_.folder);
  }
}

EtcdCluster::~EtcdCluster() {
  for (auto& node : nodes_) {
    node.process.reset();
    if (options_.disks == EtcdClusterOptions::Disks::own) SlowDisk::unmount(node.data);
  }
  lab_drop_nothing();
}

std::string EtcdCluster::client_url(const Node& node) const {
  return "http://" + node.machine.address() + ":2379";
}

std::string EtcdCluster::url() const {
  std::string url = "etcd:";
  for (const auto& node : nodes_) {
    url += (url.back() == ':' ? "" : ",") + node.machine.address() + ":2379";
  }
  return url;
}

void EtcdCluster::start(int number) {
  std::string all;
  for (const auto& node : nodes_) {
    all += (all.empty() ? "" : ",") + node.name + "=http://" + node.machine.address() + ":2380";
  }
  Node& node = nodes_.at(static_cast<std::size_t>(number));
  const std::string peer_url = "http://" + node.machine.address() + ":2380";
  node.process = node.machine.start(node.log, {find_program("etcd").value(),
                                               "--name",
                                               node.name,
                                               "--data-dir",
                                               node.data + "/etcd",
                                               "--listen-client-urls",
                                               client_url(node),
                                               "--advertise-client-urls",
                                               client_url(node),
                                               "--listen-peer-urls",
                                               peer_url,
                                               "--initial-advertise-peer-urls",
                                               peer_url,
                                               "--initial-cluster",
                                               all,
                                               "--initial-cluster-state",
                                               "new",
                                               "--quota-backend-bytes",
                                               std::to_string(options_.quota_bytes),
                                               "--logger",
                                               "zap"});
}

void EtcdCluster::kill(int node) {
  nodes_.at(static_cast<std::size_t>(node)).process.reset();
}

void EtcdCluster::pause(int node) {
  nodes_.at(static_cast<std::size_t>(node)).process.value().send_signal(SIGSTOP);
}

void EtcdCluster::resume(int node) {
  nodes_.at(static_cast<std::size_t>(node)).process.value().send_signal(SIGCONT);
}

std::optional<EtcdCluster::Status> EtcdCluster::status(const Node& node) const {
  std::string text;
  try {
    text = run_program("etcdctl",
                       {"--endpoints", client_url(node), "--dial-timeout", "1s",
                        "--command-timeout", "1s", "endpoint", "status", "-w", "json"},
                       {"ETCDCTL_API=3"});
  } catch (const std::runtime_error&) {
    return std::nullopt;
  }
  const auto document = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!document.is_array() || document.empty()) return std::nullopt;
  const auto& all = document[0]["Status"];
  return Status{all["header"]["member_id"].get<std::uint64_t>(),
                all.value("leader", std::uint64_t{0}),
                all["header"].value("revision", std::int64_t{0})};
}

std::optional<int> EtcdCluster::find_leader() const {
  std::map<std::uint64_t, int> node_of;
  std::map<std::uint64_t, int> votes;
  for (int i = 0; i < size(); ++i) {
    const auto found = status(nodes_[static_cast<std::size_t>(i)]);
    if (!found) continue;
    node_of[found->member] = i;
    ++votes[found->leader];
  }
  for (const auto& [leader, count] : votes) {
    if (2 * count > size() && node_of.contains(leader)) return node_of[leader];
  }
  return std::nullopt;
}

int EtcdCluster::leader() {
  std::optional<int> found;
  if (!wait_for([&] { return (found = find_leader()).has_value(); })) {
    throw std::runtime_error("the etcd nodes elect no leader");
  }
  return *found;
}

bool EtcdCluster::wait_until_healthy() {
  return wait_for([&] {
    for (const auto& node : nodes_) {
      const auto found = status(node);
      if (!found || found->leader == 0) return false;
    }
    return true;
  });
}

void EtcdCluster::cut_one_way(int from, int to) {
  const auto address_of = [&](int node) {
    return node == kClients ? Lab::address()
                            : nodes_.at(static_cast<std::size_t>(node)).machine.address();
  };
  if (to == kClients) {
    lab_drop_from(address_of(from));
  } else {
    nodes_.at(static_cast<std::size_t>(to)).machine.drop_from(address_of(from));
  }
}

void EtcdCluster::cut_off(const std::set<int>& nodes) {
  for (const int inside : nodes) {
    for (int outside = kClients; outside < size(); ++outside) {
      if (nodes.contains(outside)) continue;
      cut_one_way(inside, outside);
      cut_one_way(outside, inside);
    }
  }
}

void EtcdCluster::leave_clients_with(const std::set<int>& nodes) {
  std::set<int> others;
  for (int node = 0; node < size(); ++node) {
    if (!nodes.contains(node)) others.insert(node);
  }
  cut_off(others);
}

void EtcdCluster::heal() {
  lab_drop_nothing();
  for (const auto& node : nodes_) node.machine.drop_nothing();
}

std::string EtcdCluster::control(std::vector<std::string> words) const {
  std::string endpoints;
  for (const auto& node : nodes_) endpoints += (endpoints.empty() ? "" : ",") + client_url(node);
  words.insert(words.begin(), {"--endpoints", endpoints, "--command-timeout", "10s"});
  return run_program("etcdctl", std::move(words), {"ETCDCTL_API=3"});
}

std::int64_t EtcdCluster::revision() const {
  for (const auto& node : nodes_) {
    if (const auto found = status(node)) return found->revision;
  }
  throw std::runtime_error("no etcd node says its revision");
}

}  // namespace semper::testing
