#include "processes.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include "semper/env/scheduler.h"
#include "semper/rpc/publisher.h"
#include "semper/rpc/server.h"

namespace semper::rpc_faults {
namespace {

using namespace std::chrono_literals;

std::int64_t wall_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  return address;
}

// A reset instead of an orderly end.
void reset(int socket) {
  const linger hard{1, 0};
  setsockopt(socket, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  shutdown(socket, SHUT_RDWR);
}

Async<Bytes> echo(rpc::CallInfo, Bytes request) {
  co_return request;
}

}  // namespace

int serve(int port, Counting counting) {
  Scheduler scheduler;
  rpc::PublisherOptions options;
  options.epoch = static_cast<std::uint64_t>(counting.epoch_ms);
  const auto now = [&] { return (wall_ms() - counting.epoch_ms) / counting.tick_ms; };
  // History from before this process, so that those who saw it can go on.
  const std::int64_t first = std::max<std::int64_t>(0, now() - 20'000);
  options.first_number = static_cast<std::uint64_t>(first);
  options.history_batches = 1'000'000;
  rpc::PipePublisher<std::int64_t> pipe(options);
  rpc::StatePublisher<std::int64_t, std::int64_t> state(
      first, [](std::int64_t& last, const std::int64_t& number) { last = number; }, options);
  std::int64_t published = first;
  const auto catch_up = [&] {
    for (const std::int64_t until = now(); published < until;) {
      ++published;
      pipe.publish({published});
      state.publish({published});
    }
  };
  catch_up();
  rpc::Methods methods;
  methods.streaming("/test.Count/Pipe", pipe.handler());
  methods.streaming("/test.Count/State", state.handler());
  methods.unary("/test.Count/Echo", echo);
  rpc::ServerOptions server_options;
  server_options.executor = scheduler.executor();
  server_options.address = "127.0.0.1:" + std::to_string(port);
  auto server = rpc::Server::start(methods, server_options);
  if (!server) {
    std::fprintf(stderr, "%s\n", server.error().to_string().c_str());
    return 1;
  }
  std::printf("%d\n", server->port());
  std::fflush(stdout);
  while (getppid() != 1) {
    catch_up();
    std::this_thread::sleep_for(1ms);
  }
  return 0;
}

ServerProcess::ServerProcess(int tick_ms) : counting_{wall_ms(), tick_ms} {}

void ServerProcess::start(int port) {
  process_.emplace(std::vector<std::string>{"--serve", std::to_string(port),
                                            std::to_string(counting_.epoch_ms),
                                            std::to_string(counting_.tick_ms)});
  const auto line = process_->read_line();
  if (!line) throw std::runtime_error("the server process does not listen");
  port_ = std::stoi(*line);
}

void ServerProcess::kill(int signal) {
  if (signal == SIGKILL) {
    process_->kill_hard();
  } else {
    process_->send_signal(signal);
  }
}

Proxy::Proxy(int target) : target_(target) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  auto address = loopback(0);
  socklen_t length = sizeof address;
  if (bind(listener_, reinterpret_cast<sockaddr*>(&address), length) != 0 ||
      listen(listener_, 64) != 0 ||
      getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    throw std::runtime_error("the proxy cannot listen");
  }
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { accept_all(); });
}

Proxy::~Proxy() {
  over_ = true;
  shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  cut();
  for (auto& pump : pumps_) pump.join();
  for (const auto& pair : pairs_) {
    close(pair.client);
    if (pair.server >= 0) close(pair.server);
  }
  close(listener_);
}

void Proxy::accept_all() {
  while (!over_) {
    const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) continue;
    if (go_away_.exchange(false)) {
      std::lock_guard lock(mutex_);
      pairs_.emplace_back().client = client;
      pumps_.emplace_back([this, client] { say_go_away(client); });
      continue;
    }
    const int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const auto address = loopback(target_);
    if (connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      reset(client);
      close(client);
      close(server);
      continue;
    }
    std::lock_guard lock(mutex_);
    auto& pair = pairs_.emplace_back();
    pair.client = client;
    pair.server = server;
    pumps_.emplace_back([this, &pair] { pump(pair, true); });
    pumps_.emplace_back([this, &pair] { pump(pair, false); });
  }
}

void Proxy::pump(Pair& pair, bool from_server) {
  const int from = from_server ? pair.server : pair.client;
  const int to = from_server ? pair.client : pair.server;
  char bytes[4096];
  while (true) {
    const auto count = recv(from, bytes, sizeof bytes, 0);
    if (count <= 0) break;
    if (delay_ms_ > 0) std::this_thread::sleep_for(std::chrono::milliseconds(delay_ms_));
    if (hole_ || pair.hole) continue;
    auto pass = static_cast<std::size_t>(count);
    bool last = false;
    if (from_server && cut_in_ >= 0) {
      last = static_cast<int>(pass) > cut_in_;
      if (last) pass = static_cast<std::size_t>(cut_in_);
      cut_in_ = last ? -1 : cut_in_ - static_cast<int>(pass);
    }
    if (send(to, bytes, pass, MSG_NOSIGNAL) < 0) break;
    if (last) {
      shutdown(from, SHUT_RDWR);
      break;
    }
  }
  shutdown(to, SHUT_WR);
}

// As much HTTP/2 as a client needs to send a call: the frames' heads (length, type, flags, stream).
void Proxy::say_go_away(int client) {
  constexpr int kPreface = 24;
  constexpr std::size_t kHead = 9;
  enum Type : char { kHeaders = 1, kSettings = 4, kPing = 6, kGoAway = 7 };
  const auto say = [client](Type type, char flags, std::string payload) {
    std::string frame{0, 0, static_cast<char>(payload.size()), type, flags, 0, 0, 0, 0};
    frame += payload;
    return send(client, frame.data(), frame.size(), MSG_NOSIGNAL) > 0;
  };
  const auto take = [client](std::size_t count) {
    std::string bytes(count, '\0');
    if (recv(client, bytes.data(), count, MSG_WAITALL) != static_cast<ssize_t>(count))
      bytes.clear();
    return bytes;
  };
  if (take(kPreface).empty() || !say(kSettings, 0, "")) return;
  while (true) {
    const auto head = take(kHead);
    if (head.empty()) return;
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(head[i]); };
    const std::size_t length = (byte(0) << 16) | (byte(1) << 8) | byte(2);
    const auto payload = length == 0 ? std::string() : take(length);
    if (payload.size() != length) return;
    const bool answer = head[4] == 1;
    if (head[3] == kSettings && !answer) say(kSettings, 1, "");
    if (head[3] == kPing && !answer) say(kPing, 1, payload);
    // The last stream that was seen: none. No error.
    if (head[3] == kHeaders) say(kGoAway, 0, std::string(8, '\0'));
  }
}

void Proxy::cut() {
  std::lock_guard lock(mutex_);
  for (const auto& pair : pairs_) {
    reset(pair.client);
    if (pair.server >= 0) reset(pair.server);
  }
}

void Proxy::forget() {
  std::lock_guard lock(mutex_);
  for (auto& pair : pairs_) pair.hole = true;
}

void Proxy::half_close() {
  std::lock_guard lock(mutex_);
  for (const auto& pair : pairs_) shutdown(pair.client, SHUT_WR);
}

}  // namespace semper::rpc_faults
