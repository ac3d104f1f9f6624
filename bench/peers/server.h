// Server: one server process of a peer, with all that it starts.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "semper/testing/child_process.h"

namespace semper::bench::peers {

// The first of these programs that is there ("/usr/lib/postgresql/*/bin/initdb"); throws
// Unavailable with the Debian package to install.
std::string find_program(const std::vector<std::string>& patterns, const std::string& package);

// A process and all that descends from it, itself first.
std::vector<pid_t> tree_of(pid_t root);
// Bytes that such a tree has caused to be written to disk, with those of its processes that have
// ended; nothing where the kernel does not tell.
std::optional<double> written_by_tree(pid_t root);

class Server {
 public:
  // Starts it; what it says goes to folder/NAME.log.
  Server(std::string name, std::string folder, semper::testing::ProgramToStart program);
  // Asks it to end by `stop_signal`, and kills what has not within some seconds.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  int stop_signal = 15;
  // Polls until it answers; throws Unavailable, with its last words, where it ends or does not.
  void wait_until(const std::function<bool()>& answers);
  void freeze();
  void thaw();

 private:
  void signal_all(int number);
  const std::string name_;
  const std::string log_;
  semper::testing::ChildProcess process_;
};

// Makes the user the owner of the folder, where this process is root's. `user`: as whom to run what
// refuses to be root's; empty where this process is not.
void give_away(const std::string& folder, const std::string& user);
std::string user_unless_mine(const std::string& user, const std::string& package);

// A folder with a short path, for unix sockets.
class SocketFolder {
 public:
  SocketFolder();
  ~SocketFolder();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace semper::bench::peers
