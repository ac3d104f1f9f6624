// NATS JetStream as a system of bench_peers: a stream in files, and a queue group of consumers.
//
// A publish is acknowledged when it has been written into the page cache: JetStream flushes every
// two minutes (its fixed sync_interval in this version), so that a power loss takes what was
// acknowledged since. It keeps no states with the queue: its consumer counts in memory.
#include <nats/nats.h>

#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>

#include "semper/testing/free_port.h"
#include "server.h"
#include "support/load.h"
#include "system.h"
#include "systems.h"

namespace semper::bench::peers {
namespace {

constexpr const char* kStream = "QUEUE";
constexpr const char* kSubject = "queue";
constexpr const char* kWorkers = "workers";

void check(natsStatus status, const char* what) {
  if (status != NATS_OK) {
    give_up(std::string("NATS: ") + what + ": " + natsStatus_GetText(status));
  }
}

struct Destroy {
  void operator()(natsConnection* it) const { natsConnection_Destroy(it); }
  void operator()(natsSubscription* it) const { natsSubscription_Destroy(it); }
  void operator()(jsCtx* it) const { jsCtx_Destroy(it); }
  void operator()(natsMsg* it) const { natsMsg_Destroy(it); }
  void operator()(natsOptions* it) const { natsOptions_Destroy(it); }
  void operator()(natsInbox* it) const { natsInbox_Destroy(it); }
};
template <class T>
using Held = std::unique_ptr<T, Destroy>;

// Null: it does not answer.
Held<natsConnection> connect(const std::string& url) {
  natsOptions* options = nullptr;
  if (natsOptions_Create(&options) != NATS_OK) return nullptr;
  const Held<natsOptions> held(options);
  natsOptions_SetURL(options, url.c_str());
  natsOptions_SetSendAsap(options, true);
  natsOptions_SetMaxPendingMsgs(options, 1 << 20);
  natsConnection* connection = nullptr;
  if (natsConnection_Connect(&connection, options) != NATS_OK) return nullptr;
  return Held<natsConnection>(connection);
}

Held<natsConnection> connect_or_give_up(const std::string& url) {
  Held<natsConnection> connection = connect(url);
  if (!connection) give_up("NATS does not answer on " + url);
  return connection;
}

Held<jsCtx> jetstream(const Held<natsConnection>& connection) {
  jsCtx* context = nullptr;
  check(natsConnection_JetStream(&context, connection.get(), nullptr), "JetStream");
  return Held<jsCtx>(context);
}

class Nats final : public System {
 public:
  explicit Nats(const std::string& folder)
      : port_(std::to_string(semper::testing::free_port())),
        server_("nats", folder,
                {find_program({"/usr/sbin/nats-server", "/usr/bin/nats-server"}, "nats-server"),
                 {"-a", "127.0.0.1", "-p", port_, "-js", "-sd", folder + "/data"}}) {
    server_.wait_until([&] { return connect(address()) != nullptr; });
  }

  void prepare(std::size_t) override {
    const auto connection = connect_or_give_up(address());
    const auto context = jetstream(connection);
    js_DeleteStream(context.get(), kStream, nullptr, nullptr);
    const char* subjects[] = {kSubject};
    jsStreamConfig config;
    jsStreamConfig_Init(&config);
    config.Name = kStream;
    config.Subjects = subjects;
    config.SubjectsLen = 1;
    config.Retention = js_WorkQueuePolicy;
    config.Storage = js_FileStorage;
    jsErrCode code{};
    check(js_AddStream(nullptr, context.get(), &config, nullptr, &code), "a stream");
  }
  std::string address() const override { return "nats://127.0.0.1:" + port_; }
  void freeze() override { server_.freeze(); }
  void thaw() override { server_.thaw(); }

 private:
  const std::string port_;
  Server server_;
};

std::unique_ptr<System> start(const std::string& folder) {
  return std::make_unique<Nats>(folder);
}

// Each message asks for its acknowledgement by an inbox of the publisher, where they arrive in
// order.
class NatsPublisher final : public Publisher {
 public:
  explicit NatsPublisher(const std::string& url) : connection_(connect_or_give_up(url)) {
    natsInbox* inbox = nullptr;
    check(natsInbox_Create(&inbox), "an inbox");
    inbox_.reset(inbox);
    natsSubscription* replies = nullptr;
    check(natsConnection_SubscribeSync(&replies, connection_.get(), inbox), "a subscription");
    replies_.reset(replies);
  }

  void send(std::int64_t since_ns, const std::string& entity, const std::string& payload) override {
    const std::string message = payload + entity;
    check(natsConnection_PublishRequest(connection_.get(), kSubject, inbox_.get(), message.data(),
                                        static_cast<int>(message.size())),
          "a message");
    sent_.push_back(since_ns);
  }

  void settle(std::chrono::nanoseconds patience, const Settled& settled) override {
    std::int64_t limit_ms = patience.count() / 1'000'000;
    while (!sent_.empty()) {
      natsMsg* message = nullptr;
      const natsStatus status = natsSubscription_NextMsg(&message, replies_.get(), limit_ms);
      if (status == NATS_TIMEOUT) return;
      check(status, "an acknowledgement");
      const Held<natsMsg> held(message);
      const std::string text(natsMsg_GetData(message),
                             static_cast<std::size_t>(natsMsg_GetDataLength(message)));
      if (text.find("\"seq\"") == std::string::npos) give_up("NATS refuses a message: " + text);
      settled(sent_.front());
      sent_.pop_front();
      limit_ms = 0;  // after the first: what lies there
    }
  }

 private:
  const Held<natsConnection> connection_;
  Held<natsInbox> inbox_;
  Held<natsSubscription> replies_;
  std::deque<std::int64_t> sent_;
};

class NatsConsumer final : public Consumer {
 public:
  explicit NatsConsumer(const std::string& url)
      : connection_(connect_or_give_up(url)), context_(jetstream(connection_)) {
    jsSubOptions options;
    jsSubOptions_Init(&options);
    options.Stream = kStream;
    options.Queue = kWorkers;
    options.ManualAck = true;
    options.Config.MaxAckPending = 64 * kBatch;
    natsSubscription* messages = nullptr;
    jsErrCode code{};
    check(js_SubscribeSync(&messages, context_.get(), kSubject, nullptr, &options, &code),
          "a consumer");
    messages_.reset(messages);
  }
  ~NatsConsumer() override { natsConnection_Flush(connection_.get()); }

  int take(const Settled& settled) override {
    int count = 0;
    for (std::int64_t limit_ms = 1; count < kBatch; ++count) {
      natsMsg* message = nullptr;
      const natsStatus status = natsSubscription_NextMsg(&message, messages_.get(), limit_ms);
      if (status == NATS_TIMEOUT) break;
      check(status, "messages");
      const Held<natsMsg> held(message);
      const char* body = natsMsg_GetData(message);
      ++states_[body + kPayloadBytes];
      check(natsMsg_Ack(message, nullptr), "to acknowledge");
      settled(since_ns_of(body));
      limit_ms = 0;  // after the first: what lies there
    }
    return count;
  }

 private:
  const Held<natsConnection> connection_;
  const Held<jsCtx> context_;
  Held<natsSubscription> messages_;
  std::unordered_map<std::string, std::int64_t> states_;
};

void publish(const Job& job) {
  NatsPublisher publisher(job.address);
  publish_all(publisher, job);
}

void consume(const Job& job) {
  NatsConsumer consumer(job.address);
  consume_all(consumer, job);
}

}  // namespace

Kind nats_kind() {
  return {"nats",
          "NATS JetStream",
          "file storage, not flushed before the acknowledgement but every two minutes",
          "no flush, no states",
          false,
          1 << 20,
          start,
          publish,
          consume};
}

}  // namespace semper::bench::peers
