// SocketLink: one end of a link between two processes.
//
// On the socket each message is its length (u32, in the machine's order) and its bytes. Who sends
// writes at once where nothing waits; what does not fit waits here, for the thread that reads.
//
// Threads: send() and close() any; the rest the thread that waits for the sockets, one at a time.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <vector>

#include "link_socket.h"
#include "semper/env/fork.h"
#include "semper/store/internal/neighbour_inbox.h"

namespace semper::sqlite {

class SocketLink {
 public:
  SocketLink(Socket socket, std::uint64_t number) : number_(number), socket_(std::move(socket)) {}
  ~SocketLink();

  std::uint64_t number() const { return number_; }
  semper::internal::NeighbourInbox& inbox() { return inbox_; }

  // Before anything else, by who has connected. Error: closed.
  Status say(const Hello& hello);
  // Errors: as NeighbourLink::send.
  Status send(Bytes message);
  void close();

  // What happens to it from now on is an event with its number. Error: exhausted.
  Status watch(int epoll);
  // Takes what is there, or a part of it; delivers it. The error is why it has ended.
  Status read(std::vector<char>& buffer);
  void write_on();

 private:
  // How much of this was written; -1: none ever will be.
  std::ptrdiff_t write(BytesView one, BytesView two);
  void watch_for_room(bool wanted);
  Status take(BytesView bytes);

  const std::uint64_t number_;
  const ForkGuard fork_{};
  semper::internal::NeighbourInbox inbox_;

  std::mutex mutex_;
  Socket socket_;
  int epoll_ = -1;
  bool is_broken_ = false;  // nothing can be written
  std::deque<Bytes> waiting_;
  std::size_t written_ = 0;  // of the first
  std::size_t bytes_ = 0;    // of all that wait

  // What is being read.
  std::array<char, 4> head_{};
  std::size_t head_bytes_ = 0;
  std::size_t wanted_ = 0;
  Bytes message_;
};

}  // namespace semper::sqlite
