// Redis as a system of bench_peers: a list of messages and a hash of the entities' counts.
//
// appendonly, appendfsync always: a reply leaves after the fsync of its turn of the server's loop,
// one for all commands of that turn. A publisher has its messages in one pipeline; a consumer takes
// a batch and counts each of its messages in a script, which is Redis's transaction.
#include <hiredis/hiredis.h>

#include <deque>
#include <memory>
#include <string>

#include "server.h"
#include "support/load.h"
#include "system.h"
#include "systems.h"

namespace semper::bench::peers {
namespace {

// Entities have names of this length, before the payload.
constexpr std::size_t kNameBytes = 14;

constexpr const char* kTake = R"(
local taken = redis.call('LPOP', KEYS[1], ARGV[1])
if not taken then return {} end
for _, message in ipairs(taken) do
  redis.call('HINCRBY', KEYS[2], string.sub(message, 1, 14), 1)
end
return taken)";

constexpr const char* kFill = R"(
for n = ARGV[1], ARGV[2] - 1 do
  redis.call('HSET', KEYS[1], string.format('meter-%08d', n), 0)
end
return 0)";

struct FreeContext {
  void operator()(redisContext* context) const { redisFree(context); }
};
using Connection = std::unique_ptr<redisContext, FreeContext>;

struct FreeReply {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
using Reply = std::unique_ptr<redisReply, FreeReply>;

// Null: it does not answer.
Connection connect(const std::string& path) {
  Connection connection(redisConnectUnix(path.c_str()));
  return connection && connection->err == 0 ? std::move(connection) : nullptr;
}

Connection connect_or_give_up(const std::string& path) {
  Connection connection = connect(path);
  if (!connection) give_up("Redis does not answer on " + path);
  return connection;
}

Reply good(redisReply* reply) {
  Reply held(reply);
  if (!held) give_up("the connection to Redis is lost");
  if (held->type == REDIS_REPLY_ERROR) give_up(std::string("Redis: ") + held->str);
  return held;
}

template <class... Words>
Reply ask(const Connection& connection, const char* format, Words... words) {
  return good(static_cast<redisReply*>(redisCommand(connection.get(), format, words...)));
}

class Redis final : public System {
 public:
  explicit Redis(const std::string& folder)
      : server_("redis", folder,
                {find_program({"/usr/bin/redis-server"}, "redis-server"),
                 {"--port", "0", "--unixsocket", address(), "--dir", folder, "--appendonly", "yes",
                  "--appendfsync", "always", "--save", ""}}) {
    server_.wait_until([&] { return connect(address()) != nullptr; });
  }

  void prepare(std::size_t entities) override {
    const Connection connection = connect_or_give_up(address());
    ask(connection, "FLUSHALL");
    constexpr std::size_t kAtOnce = 10'000;
    for (std::size_t n = 0; n < entities; n += kAtOnce) {
      ask(connection, "EVAL %s 1 states %s %s", kFill, std::to_string(n).c_str(),
          std::to_string(std::min(n + kAtOnce, entities)).c_str());
    }
  }
  std::string address() const override { return sockets_.path() + "/redis.sock"; }
  void freeze() override { server_.freeze(); }
  void thaw() override { server_.thaw(); }

 private:
  const SocketFolder sockets_;
  Server server_;
};

std::unique_ptr<System> start(const std::string& folder) {
  return std::make_unique<Redis>(folder);
}

class RedisPublisher final : public Publisher {
 public:
  explicit RedisPublisher(const std::string& address) : connection_(connect_or_give_up(address)) {}

  void send(std::int64_t since_ns, const std::string& entity, const std::string& payload) override {
    const std::string message = entity + payload;
    const char* words[] = {"RPUSH", "queue", message.data()};
    const std::size_t lengths[] = {5, 5, message.size()};
    redisAppendCommandArgv(connection_.get(), 3, words, lengths);
    sent_.push_back(since_ns);
  }

  void settle(std::chrono::nanoseconds patience, const Settled& settled) override {
    for (int done = 0; done == 0;) {
      if (redisBufferWrite(connection_.get(), &done) != REDIS_OK) give_up("Redis takes no more");
    }
    if (!wait_readable(connection_->fd, patience)) return;
    if (redisBufferRead(connection_.get()) != REDIS_OK) give_up("the connection to Redis is lost");
    while (true) {
      void* reply = nullptr;
      if (redisGetReplyFromReader(connection_.get(), &reply) != REDIS_OK) give_up("not Redis");
      if (reply == nullptr) return;
      good(static_cast<redisReply*>(reply));
      settled(sent_.front());
      sent_.pop_front();
    }
  }

 private:
  const Connection connection_;
  std::deque<std::int64_t> sent_;
};

class RedisConsumer final : public Consumer {
 public:
  explicit RedisConsumer(const std::string& address)
      : connection_(connect_or_give_up(address)),
        script_(ask(connection_, "SCRIPT LOAD %s", kTake)->str) {}

  int take(const Settled& settled) override {
    const Reply taken = ask(connection_, "EVALSHA %s 2 queue states %d", script_.c_str(), kBatch);
    for (std::size_t i = 0; i < taken->elements; ++i) {
      settled(since_ns_of(taken->element[i]->str + kNameBytes));
    }
    return static_cast<int>(taken->elements);
  }

 private:
  const Connection connection_;
  const std::string script_;
};

void publish(const Job& job) {
  RedisPublisher publisher(job.address);
  publish_all(publisher, job);
}

void consume(const Job& job) {
  RedisConsumer consumer(job.address);
  consume_all(consumer, job);
}

}  // namespace

Kind redis_kind() {
  return {"redis", "Redis", "appendonly, appendfsync always: fsync before each turn's replies",
          "",      true,    1 << 20,
          start,   publish, consume};
}

}  // namespace semper::bench::peers
