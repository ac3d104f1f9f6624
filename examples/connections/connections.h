// Three connections that outlive their servers: plain TCP, PostgreSQL through libpq, redis through
// hiredis. Between "begin" and "end" of each .cc is all that a user writes.
//
// Each makes a function that sends words to a server which gives them back, and waits while the
// server is down, five seconds at most. Any number of callers may call it at once.
#pragma once

#include <semper/env/asio.h>

#include <cstdint>
#include <functional>
#include <string>

namespace connections {

using Ask = std::function<semper::Async<std::string>(std::string words)>;

Ask tcp_echo(std::string host, std::uint16_t port);
Ask postgres_echo(std::string conninfo);
Ask redis_echo(std::string host, std::uint16_t port);

// A server for the first one. Does not return.
int serve_echo(std::uint16_t port);

}  // namespace connections
