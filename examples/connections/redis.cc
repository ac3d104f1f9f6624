// A pool of redis connections on hiredis' blocking calls, each on a thread for such (run_blocking).
// Its own timeout bounds how long one may block, for a call that blocks is not cancelled. hiredis
// 0.14 raises SIGPIPE on a connection that is gone: a program ignores that signal, as main.cc does.
#include <hiredis/hiredis.h>
#include <semper/durable/descriptor.h>
#include <semper/durable/pool.h>
#include <semper/env/blocking.h>

#include <memory>

#include "connections.h"

using namespace std::chrono_literals;

namespace connections {
namespace {

// begin
using Redis = std::shared_ptr<redisContext>;

semper::Result<Redis> connect(const std::string& host, std::uint16_t port) {
  const Redis redis(redisConnectWithTimeout(host.c_str(), port, timeval{2, 0}), redisFree);
  if (redis->err != 0) return semper::fail(semper::ErrorKind::io, redis->errstr);
  redisSetTimeout(redis.get(), timeval{2, 0});
  return redis;
}
semper::Pool<Redis> make_pool(std::string host, std::uint16_t port) {
  semper::PoolOptions<Redis> options{.each = {.with = {5s, semper::WhenDown::wait}}};
  options.each.name = "redis";
  auto is_broken = [](const Redis& r) { return r->err != 0 || !semper::is_quiet(r->fd); };
  auto open = [=] { return semper::run_blocking([=] { return connect(host, port); }); };
  return semper::Pool<Redis>::create(open, is_broken, options);
}
semper::Result<std::string> echo(redisContext* redis, const std::string& words) {
  void* const answer = redisCommand(redis, "ECHO %b", words.data(), words.size());
  if (answer == nullptr) return semper::fail(semper::ErrorKind::io, redis->errstr);
  const std::shared_ptr<redisReply> reply(static_cast<redisReply*>(answer), freeReplyObject);
  if (reply->type == REDIS_REPLY_STRING) return std::string(reply->str, reply->len);
  return semper::fail(semper::ErrorKind::retry, reply->str);
}
semper::Async<std::string> ask(semper::Pool<Redis> pool, std::string words) {
  auto f = [&](Redis& r) { return semper::run_blocking([&] { return echo(r.get(), words); }); };
  co_return co_await pool.with(f);
}
// end

}  // namespace

Ask redis_echo(std::string host, std::uint16_t port) {
  auto pool = make_pool(std::move(host), port);
  return [pool](std::string words) { return ask(pool, std::move(words)); };
}

}  // namespace connections
