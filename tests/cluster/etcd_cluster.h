// EtcdCluster: real etcd nodes on machines of the lab, and what can go wrong with them.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "lab.h"

namespace semper::testing {

struct EtcdClusterOptions {
  std::string folder;  // for data and logs; the caller removes it
  int nodes = 3;
  // Of each node's database; 0: etcd's own 2 GiB.
  std::uint64_t quota_bytes = 0;
  // Each node's data on a file system of its own, which can be slowed down.
  enum class Disks : bool { shared, own } disks = Disks::shared;
};

// Nodes are numbered from 0. Everything here throws std::runtime_error where the machinery itself
// fails.
class EtcdCluster {
 public:
  // Why there can be no cluster here; nothing: there can.
  static std::optional<std::string> obstacle();

  // Returns when all nodes are up and have a leader.
  explicit EtcdCluster(EtcdClusterOptions options);
  ~EtcdCluster();
  EtcdCluster(const EtcdCluster&) = delete;
  EtcdCluster& operator=(const EtcdCluster&) = delete;

  int size() const { return static_cast<int>(nodes_.size()); }
  // "etcd:10.99.0.1:2379,...": to be completed by ?prefix=.
  std::string url() const;

  void kill(int node);   // SIGKILL
  void start(int node);  // again, on its own data
  void pause(int node);  // SIGSTOP
  void resume(int node);

  // The node that most nodes that can be asked take for the leader. Waits until there is one.
  int leader();
  // Any node but that one.
  int other_than(int node) const { return (node + 1) % size(); }
  bool wait_until_healthy();

  // Packets between these nodes and all else, the clients included, are dropped.
  void cut_off(const std::set<int>& nodes);
  // The clients (this process and its children) stay with these nodes, away from the others.
  void leave_clients_with(const std::set<int>& nodes);
  // Packets from one to the other are dropped, not the other way round. kClients is a node here.
  static constexpr int kClients = -1;
  void cut_one_way(int from, int to);
  void heal();

  // The disk of a node with one of its own.
  std::string disk(int node) const { return nodes_.at(static_cast<std::size_t>(node)).data; }

  // etcdctl with these words, on all endpoints; what it printed.
  std::string control(std::vector<std::string> words) const;
  std::int64_t revision() const;

 private:
  struct Node {
    Machine machine;
    std::string name;
    std::string data;
    std::string log;
    std::optional<ChildProcess> process;
  };
  struct Status {
    std::uint64_t member = 0;
    std::uint64_t leader = 0;  // 0: it knows none
    std::int64_t revision = 0;
  };

  std::string client_url(const Node& node) const;
  std::optional<Status> status(const Node& node) const;
  std::optional<int> find_leader() const;

  const EtcdClusterOptions options_;
  std::vector<Node> nodes_;
};

}  // namespace semper::testing
