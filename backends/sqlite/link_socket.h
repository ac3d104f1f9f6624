// The sockets between processes that have one store open: Unix streams in the abstract namespace,
// which leave no file behind.
//
// Threads: any. Every descriptor is closed in forked children (fork_guard.h).
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "semper/base/bytes.h"
#include "semper/base/result.h"

namespace semper::sqlite {

using SocketName = std::array<std::uint64_t, 2>;
using SocketSecret = std::array<std::uint64_t, 4>;

// A descriptor that is closed with it, but not in a forked child.
class Socket {
 public:
  Socket() = default;
  explicit Socket(int descriptor) : descriptor_(descriptor) {}
  Socket(Socket&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~Socket() { close(); }

  int number() const { return descriptor_; }
  bool is_open() const { return descriptor_ >= 0; }
  void close();
  // In a child: the number may be another file's by now.
  void forget() { descriptor_ = -1; }

  // The user of the process at the other end, as the kernel knows it.
  std::optional<uid_t> peer() const;

 private:
  int descriptor_ = -1;
};

// From the kernel. Error: io.
Status fill_with_secrets(SocketName& name, SocketSecret& secret);

// Errors: exhausted (no descriptor is to be had), io.
Result<Socket> listen_as(const SocketName& name);

// Does not wait. Errors: not_found (nobody has that name; also in another network namespace), retry
// (it is busy), exhausted, io.
Result<Socket> connect_to(const SocketName& name);

// A socket that waits to be accepted; not open where none does. Errors: exhausted, io.
Result<Socket> accept_from(const Socket& listening);

// A descriptor for epoll, and one to wake its thread.
Result<Socket> make_epoll();
Result<Socket> make_event();

// What is said first on a connection.
//
//   "semper\0\1"  entry of the sender u32  secret u64 x 4  bytes of the topic u8  topic
struct Hello {
  std::uint32_t entry = 0;
  SocketSecret secret = {};
  std::string topic;
};
inline constexpr std::size_t kHelloHeadBytes = 8 + 4 + 32 + 1;
Bytes encode(const Hello& hello);
// How long a hello is that begins so; empty: it is none. Precondition: kHelloHeadBytes are there.
std::optional<std::size_t> hello_bytes(BytesView head);
// Precondition: as long as hello_bytes() says.
Hello decode_hello(BytesView bytes);
// Takes the same time wherever they differ.
bool are_equal(const SocketSecret& a, const SocketSecret& b);

}  // namespace semper::sqlite
