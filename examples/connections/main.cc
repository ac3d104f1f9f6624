// Asks a server once a second, in the words of this program's arguments, and says what came back.
// Stop the server, kill it, start it again: the answers go on.
//
//   semper-connections serve 7411
//   semper-connections tcp 127.0.0.1 7411
//   semper-connections postgres "host=127.0.0.1 user=me dbname=postgres connect_timeout=5"
//   semper-connections redis 127.0.0.1 6379
#include <semper/env/clock.h>
#include <semper/env/scheduler.h>

#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <optional>

#include "connections.h"

using namespace std::chrono_literals;

namespace {

semper::Task<int> ask_each_second(connections::Ask ask) {
  for (int i = 0;; ++i) {
    auto answer = co_await ask("question " + std::to_string(i));
    std::printf("%s\n", answer ? answer->c_str() : answer.error().to_string().c_str());
    std::fflush(stdout);
    static_cast<void>(co_await semper::sleep_for(semper::system_clock(), 1s));
  }
}

std::optional<std::uint16_t> port_of(const char* text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text, text + std::strlen(text), port);
  if (error != std::errc() || *end != '\0') return std::nullopt;
  return port;
}

connections::Ask connection_of(const std::string& kind, int count, char** words) {
  const auto port = count == 2 ? port_of(words[1]) : std::nullopt;
  if (kind == "tcp" && port) return connections::tcp_echo(words[0], *port);
#ifdef WITH_REDIS
  if (kind == "redis" && port) return connections::redis_echo(words[0], *port);
#endif
#ifdef WITH_POSTGRES
  if (kind == "postgres" && count == 1) return connections::postgres_echo(words[0]);
#endif
  return nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  const std::string kind = argc > 1 ? argv[1] : "";
  try {
    if (kind == "serve" && argc == 3) {
      if (const auto port = port_of(argv[2])) return connections::serve_echo(*port);
    }
    auto ask = argc > 2 ? connection_of(kind, argc - 2, argv + 2) : nullptr;
    if (ask) return semper::run(ask_each_second(std::move(ask)));
  } catch (const std::exception& thrown) {  // from Asio: the port is taken, for example
    std::fprintf(stderr, "semper-connections: %s\n", thrown.what());
    return 1;
  }
  std::fprintf(stderr,
               "usage: semper-connections serve PORT | tcp HOST PORT | redis HOST PORT | "
               "postgres CONNINFO\n");
  return 2;
}
