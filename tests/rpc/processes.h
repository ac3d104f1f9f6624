// A server in another process (this program again, --serve), and a proxy in this one.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "semper/testing/child_process.h"

namespace semper::rpc_faults {

struct Counting {
  std::int64_t epoch_ms = 0;  // of the wall clock: when the whole test began
  int tick_ms = 1;            // from one number to the next
};

// Serves /test.Count/Pipe and /test.Count/State: one batch {n} every tick, the same numbers in
// every process, since they are counted from the epoch; and /test.Count/Echo. Does not return.
int serve(int port, Counting counting);

class ServerProcess {
 public:
  // Counts from now.
  explicit ServerProcess(int tick_ms = 1);

  // Returns when it listens; the port is that of the last one where 0 is not asked for.
  void start(int port);
  void kill(int signal);  // SIGKILL waits for the end
  int port() const { return port_; }

 private:
  const Counting counting_;
  std::optional<testing::ChildProcess> process_;
  int port_ = 0;
};

// Passes bytes both ways between loopback ports, and does harm on request.
class Proxy {
 public:
  explicit Proxy(int target);
  ~Proxy();
  int port() const { return port_; }
  void retarget(int port) { target_ = port; }

  void cut();                                     // resets all connections
  void cut_after(int bytes) { cut_in_ = bytes; }  // in the middle of what the server sends
  void half_close();                              // ends what the server says, and nothing else
  void black_hole(bool on) { hole_ = on; }        // takes bytes and passes none on
  void forget();                                  // the same, of the present connections only
  void delay_ms(int each) { delay_ms_ = each; }   // before each piece
  // The next connection is told to go away when its first call has come; no server sees that call.
  void go_away_once() { go_away_ = true; }

 private:
  struct Pair {
    int client = -1;
    int server = -1;
    std::atomic<bool> hole = false;
  };
  void accept_all();
  void pump(Pair& pair, bool from_server);
  void say_go_away(int client);

  int listener_ = -1;
  int port_ = 0;
  std::atomic<int> target_;
  std::atomic<int> cut_in_ = -1;
  std::atomic<bool> hole_ = false;
  std::atomic<bool> go_away_ = false;
  std::atomic<int> delay_ms_ = 0;
  std::atomic<bool> over_ = false;
  std::mutex mutex_;
  std::list<Pair> pairs_;
  std::vector<std::thread> pumps_;  // with the lock, while the acceptor runs
  std::thread acceptor_;
};

}  // namespace semper::rpc_faults
