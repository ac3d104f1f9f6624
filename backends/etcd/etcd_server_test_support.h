// EtcdServers: a real etcd cluster on loopback, for the tests of one program.
//
// One node or several, on free ports, in a temporary folder, stopped by process id when the program
// ends. Every store under test has a prefix of its own on it, so that a case costs no server.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "semper/testing/child_process.h"
#include "semper/testing/temporary_folder.h"

namespace semper::etcd::testing {

// Where the etcd program is: SEMPER_TEST_ETCD, or in PATH; nothing: it is not installed.
std::optional<std::string> etcd_program();
// The sentence that a skipped test prints.
inline constexpr const char* kNoEtcd =
    "etcd is not installed (Debian: etcd-server) and SEMPER_TEST_ETCD does not name it";

struct EtcdServerOptions {
  int nodes = 1;
  // More arguments for each node.
  std::vector<std::string> arguments = {};
  // "http" or "https" for clients.
  std::string client_scheme = "http";
  // Its data lies in a folder made in this one; empty: the machine's temporary folder.
  std::string parent_folder = {};
};

class EtcdServers {
 public:
  // Throws where it does not come up within kStartDeadline.
  explicit EtcdServers(EtcdServerOptions options = {});
  ~EtcdServers();
  EtcdServers(const EtcdServers&) = delete;
  EtcdServers& operator=(const EtcdServers&) = delete;

  // HOST:PORT of each, in the form an etcd: URL has them.
  std::string endpoints() const;
  std::string endpoint(int node) const;
  std::string folder() const { return folder_.path(); }

  void stop(int node);     // kill -9
  void start(int node);    // again, on its own data; waits until it answers
  void restart(int node);  // the same, and does not wait
  void pause(int node);
  void resume(int node);

  // The first cluster of this process with so many nodes, made at its first use. Child processes of
  // a test are handed it through the environment and use the same one.
  static EtcdServers& shared(int nodes);
  // Its endpoints; also in a child process, which has no cluster of its own.
  static std::string shared_endpoints(int nodes);

 private:
  struct Node {
    int client_port = 0;
    int peer_port = 0;
    std::optional<semper::testing::ChildProcess> process = std::nullopt;
  };
  void spawn(int node, bool existing);
  // False: one of them has ended.
  bool wait_until_healthy();

  EtcdServerOptions options_;
  const semper::testing::TemporaryFolder folder_;
  std::vector<Node> nodes_;
};

// A program between a client and a cluster: etcd's own, of the same binary.
class EtcdMiddleman {
 public:
  enum class Kind { grpc_proxy, gateway };
  // Returns when it answers. Throws where that takes longer than kStartDeadline.
  EtcdMiddleman(Kind kind, std::string endpoints);
  ~EtcdMiddleman();
  EtcdMiddleman(const EtcdMiddleman&) = delete;
  EtcdMiddleman& operator=(const EtcdMiddleman&) = delete;

  std::string endpoint() const;
  void stop();   // kill -9
  void start();  // again, on the same port

 private:
  const Kind kind_;
  const std::string endpoints_;
  const semper::testing::TemporaryFolder folder_;
  int port_ = 0;
  std::optional<semper::testing::ChildProcess> process_;
};

}  // namespace semper::etcd::testing
