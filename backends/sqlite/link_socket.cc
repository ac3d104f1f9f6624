#include "link_socket.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <mutex>

#include "fork_guard.h"

namespace semper::sqlite {
namespace {

constexpr char kMagic[8] = "semper\0";  // and a version, in place of the last zero
constexpr char kVersion = 1;
constexpr int kBacklog = 256;

struct Address {
  struct sockaddr_un name {};
  socklen_t size = 0;
  const struct sockaddr* get() const { return reinterpret_cast<const struct sockaddr*>(&name); }
};

// "\0semper-" and the name in hexadecimal: no file.
Address address_of(const SocketName& name) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text(1, '\0');
  text += "semper-";
  for (const auto word : name) {
    for (int shift = 60; shift >= 0; shift -= 4) text += kDigits[(word >> shift) & 15u];
  }
  Address made;
  made.name.sun_family = AF_UNIX;
  std::memcpy(made.name.sun_path, text.data(), text.size());
  made.size = static_cast<socklen_t>(offsetof(struct sockaddr_un, sun_path) + text.size());
  return made;
}

Error no_descriptor(int number, const char* what) {
  if (number == EMFILE || number == ENFILE) {
    return Error(ErrorKind::exhausted,
                 std::string(what) +
                     ": this process or the system has no descriptor left; close "
                     "some, or raise the limit (ulimit -n)");
  }
  return error_from_errno(number, what);
}

// Made by `make`, and known as one to close in children, with no fork in between.
template <class Make>
Result<Socket> make_socket(const char* what, Make make) {
  std::lock_guard no_fork(fork_safe_mutex());
  const int descriptor = make();
  if (descriptor < 0) return fail(no_descriptor(errno, what));
  if (close_socket_in_child(descriptor)) return Socket(descriptor);
  ::close(descriptor);
  return fail(Error(
      ErrorKind::exhausted, Limit{"kSocketsClosedInChildMaximum", kSocketsClosedInChildMaximum},
      std::string(what) + ": this process has " + std::to_string(kSocketsClosedInChildMaximum) +
          " links to other processes, which is the most; close some"));
}

Result<Socket> make_stream() {
  return make_socket("cannot make a socket", [] {
    return ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  });
}

template <class Number>
void append(Bytes& to, Number number) {
  char bytes[sizeof number];
  std::memcpy(bytes, &number, sizeof number);
  to.append(bytes, sizeof number);
}

template <class Number>
Number number_at(BytesView bytes, std::size_t at) {
  Number number = 0;
  std::memcpy(&number, bytes.data() + at, sizeof number);
  return number;
}

}  // namespace

void Socket::close() {
  if (descriptor_ < 0) return;
  std::lock_guard no_fork(fork_safe_mutex());
  forget_socket_descriptor(descriptor_);
  ::close(descriptor_);
  descriptor_ = -1;
}

std::optional<uid_t> Socket::peer() const {
  struct ucred who {};
  socklen_t size = sizeof who;
  if (::getsockopt(descriptor_, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) return std::nullopt;
  return who.uid;
}

Status fill_with_secrets(SocketName& name, SocketSecret& secret) {
  std::array<std::uint64_t, std::tuple_size_v<SocketName> + std::tuple_size_v<SocketSecret>> all{};
  // So few bytes come at once.
  if (::getrandom(all.data(), sizeof all, 0) != static_cast<ssize_t>(sizeof all)) {
    return fail(error_from_errno(errno, "the kernel gives no random bytes"));
  }
  std::memcpy(name.data(), all.data(), sizeof name);
  std::memcpy(secret.data(), all.data() + name.size(), sizeof secret);
  return {};
}

Result<Socket> listen_as(const SocketName& name) {
  SEMPER_TRY(auto made, make_stream());
  const auto address = address_of(name);
  if (::bind(made.number(), address.get(), address.size) != 0 ||
      ::listen(made.number(), kBacklog) != 0) {
    return fail(error_from_errno(errno, "cannot listen for other processes of the store"));
  }
  return made;
}

Result<Socket> connect_to(const SocketName& name) {
  SEMPER_TRY(auto made, make_stream());
  const auto address = address_of(name);
  if (::connect(made.number(), address.get(), address.size) == 0) return made;
  if (errno == ECONNREFUSED) {
    return fail(ErrorKind::not_found,
                "the process that listened to this topic is gone, or in a "
                "network namespace of its own");
  }
  if (errno == EAGAIN) {
    return fail(ErrorKind::retry, "the process that listens to this topic is busy; try again");
  }
  return fail(error_from_errno(errno, "cannot connect to another process of the store"));
}

Result<Socket> accept_from(const Socket& listening) {
  int number = 0;
  auto made = make_socket("cannot take a link", [&] {
    const int accepted =
        ::accept4(listening.number(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    number = accepted < 0 ? errno : 0;
    return accepted;
  });
  if (number == EAGAIN || number == ECONNABORTED || number == EINTR) return Socket();
  return made;
}

Result<Socket> make_epoll() {
  return make_socket("cannot wait for other processes of the store",
                     [] { return ::epoll_create1(EPOLL_CLOEXEC); });
}

Result<Socket> make_event() {
  return make_socket("cannot wait for other processes of the store",
                     [] { return ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); });
}

Bytes encode(const Hello& hello) {
  Bytes bytes(kMagic, sizeof kMagic);
  bytes.back() = kVersion;
  append(bytes, hello.entry);
  for (const auto word : hello.secret) append(bytes, word);
  append(bytes, static_cast<std::uint8_t>(hello.topic.size()));
  bytes += hello.topic;
  return bytes;
}

std::optional<std::size_t> hello_bytes(BytesView head) {
  if (head.substr(0, sizeof kMagic - 1) != BytesView(kMagic, sizeof kMagic - 1)) return {};
  if (head[sizeof kMagic - 1] != kVersion) return std::nullopt;
  return kHelloHeadBytes + number_at<std::uint8_t>(head, kHelloHeadBytes - 1);
}

Hello decode_hello(BytesView bytes) {
  Hello hello;
  std::size_t at = sizeof kMagic;
  hello.entry = number_at<std::uint32_t>(bytes, at);
  at += sizeof hello.entry;
  for (auto& word : hello.secret) {
    word = number_at<std::uint64_t>(bytes, at);
    at += sizeof word;
  }
  hello.topic = std::string(bytes.substr(kHelloHeadBytes));
  return hello;
}

bool are_equal(const SocketSecret& a, const SocketSecret& b) {
  std::uint64_t differ = 0;
  for (std::size_t i = 0; i < a.size(); ++i) differ |= a[i] ^ b[i];
  return differ == 0;
}

}  // namespace semper::sqlite
