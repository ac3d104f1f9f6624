// SocketNeighbours: the processes that have one store open talk to each other over sockets.
//
//   listen()     a socket of a random name; name, secret and topics stand in the sidecar
//   connect()    the entries of the sidecar that have the topic; a hello with that one's secret
//   semper-link  one thread: takes links, reads them, writes on where a send() could not
//
// Who may connect. The sidecar may be read by whoever may read the store, and written by whoever
// may write it. So the secret alone is not enough: the kernel must also say that the process at the
// other end runs as the user that its entry names, or as root. Both ends ask; a stranger who takes
// the name of a process that has ended gets no hello.
//
// Nothing of this exists before the first listen() or connect(). A forked child has none of it.
//
// Bounds: those of Neighbours; kUnfinishedLinks, kHelloPatience.
//
// Threads: any. No lock is held while a receiver or an Accept is called.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "link_socket.h"
#include "semper/env/env.h"
#include "sidecar.h"
#include "socket_link.h"

namespace semper::sqlite {

// Connections that have not said all of their hello; the oldest is closed for a newer one. How long
// it may take.
inline constexpr std::size_t kUnfinishedLinks = 16;
inline constexpr Duration kHelloPatience = std::chrono::seconds(1);

class SocketNeighbours : public std::enable_shared_from_this<SocketNeighbours> {
 public:
  // Both outlive stop().
  SocketNeighbours(Sidecar& sidecar, Env env) : sidecar_(sidecar), env_(env) {}

  Result<std::unique_ptr<Neighbours::Listening>> listen(std::string topic,
                                                        Neighbours::Accept accept);
  bool has_listener(std::string_view topic) const;
  Result<std::shared_ptr<NeighbourLink>> connect(std::string topic,
                                                 std::shared_ptr<NeighbourReceiver> receiver);
  // Everything ends, and nobody is called any more.
  void stop();

  // Ends a link, for both; `why` is what this end is told.
  enum class Rest : std::uint8_t { is_delivered, is_dropped };
  void end_link(SocketLink& link, Error why, Rest rest);

 private:
  class SocketListening;
  struct Listener {
    std::string topic;
    std::shared_ptr<semper::internal::NeighbourAccept> accept;
    std::size_t slot = 0;  // among the topics of the sidecar's entry
  };
  struct Unfinished {
    Socket socket;
    MonotonicTime deadline{};
    Clock::TimerId timer = 0;
    Bytes said;
  };
  struct Candidate {
    std::size_t entry = 0;
    std::uint32_t user = 0;
    SocketName name{};
    SocketSecret secret{};
  };

  // With mutex_ held.
  Status start();
  Status start_listening();
  Status check_room() const;

  void stop_listening(std::uint64_t number);
  std::vector<Candidate> find(std::string_view topic) const;
  // Null: this one is none to talk to; another may be.
  Result<std::shared_ptr<NeighbourLink>> try_candidate(
      const Candidate& candidate, const std::string& topic,
      const std::shared_ptr<NeighbourReceiver>& receiver);

  void wake() const;
  void run();
  void take_connections();
  void pause_taking();
  void hear(std::uint64_t number);
  void close_overdue();
  bool is_user_of_the_store(uid_t user) const;
  bool may_link(const Hello& hello, uid_t user) const;
  void finish(Socket socket, Hello hello);
  void serve(std::uint64_t number, std::uint32_t events, std::vector<char>& buffer);

  Sidecar& sidecar_;
  const Env env_;

  mutable std::mutex mutex_;
  std::atomic<bool> has_stopped_{false};
  std::thread thread_;
  Socket epoll_;
  Socket event_;
  Socket listening_;
  bool is_taking_ = true;  // false: no descriptor was left
  SocketSecret secret_{};
  std::uint64_t last_ = 0;  // number of a link, a connection or a listener
  std::map<std::uint64_t, Listener> listeners_;
  std::map<std::uint64_t, std::shared_ptr<SocketLink>> links_;
  std::map<std::uint64_t, Unfinished> unfinished_;  // of the thread alone; oldest first
};

}  // namespace semper::sqlite
