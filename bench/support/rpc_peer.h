// The other side of bench_rpc: a bare gRPC server in another process, and bare readers of its
// streams.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "semper/base/bytes.h"
#include "semper/env/asio.h"

namespace grpc {
class Channel;
}

namespace semper::bench::rpc_peer {

// Streams of frames (semper/rpc/frame.h), each batch one update of 64 bytes.
inline constexpr char kFlood[] = "/bench.Stream/Flood";  // as many as the request says, at once
inline constexpr char kPaced[] = "/bench.Stream/Paced";  // each begins with the time it was sent
inline constexpr char kIdle[] = "/bench.Stream/Idle";    // the first frame, then nothing
inline constexpr std::size_t kPayloadBytes = 64;
inline constexpr int kPaceMicroseconds = 500;

// Nanoseconds of the clock that all processes of this machine share.
std::int64_t clock_ns();
// The time in a paced update.
std::int64_t sent_ns(BytesView update);

// Prints "PORT NANOSECONDS" when it listens; does not return.
int serve(int port);

// This program again, with a pipe to what it prints.
class Child {
 public:
  explicit Child(const std::vector<std::string>& arguments);
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child();  // SIGKILL
  std::string read_line();
  void kill();

 private:
  pid_t process_ = 0;
  int output_ = -1;
};

// A server in a process of its own.
class Peer {
 public:
  explicit Peer(int port = 0);
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  int port() const { return port_; }
  std::int64_t listening_since_ns() const { return since_; }

 private:
  Child child_;
  int port_ = 0;
  std::int64_t since_ = 0;
};

std::shared_ptr<grpc::Channel> bare_channel(const std::string& address);

// One stream, read by callbacks: `on_update` runs on gRPC's thread for each update until the end.
// The destructor cancels it and waits.
class BareStream {
 public:
  BareStream(const std::shared_ptr<grpc::Channel>& channel, const char* method, Bytes request,
             std::function<void(BytesView)> on_update);
  BareStream(BareStream&&) noexcept;
  ~BareStream();
  void wait_for_begin();
  void wait_for_end();

  struct Call;

 private:
  std::shared_ptr<Call> call_;
};

// The same in a coroutine: each update is awaited.
class BareCoroutineStream {
 public:
  BareCoroutineStream(const std::shared_ptr<grpc::Channel>& channel, const char* method,
                      Bytes request);
  ~BareCoroutineStream();
  // The next update; empty at the end.
  Task<Bytes> next();

  struct Call;

 private:
  std::shared_ptr<Call> call_;
};

}  // namespace semper::bench::rpc_peer
