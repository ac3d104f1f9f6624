// RabbitMQ as a system of bench_peers: a quorum queue with publisher confirms, on one node.
//
// A confirm leaves after the queue's log has been written and flushed (each batch of it with
// fdatasync). RabbitMQ keeps no states: its consumer counts in memory, and acknowledges a batch at
// a time. An acknowledgement has no confirm, so a message counts as processed when it has been
// sent: less than the others promise.
#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <sys/time.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "semper/testing/free_port.h"
#include "server.h"
#include "support/load.h"
#include "system.h"
#include "systems.h"

namespace semper::bench::peers {
namespace {

constexpr const char* kQueue = "queue";
constexpr amqp_channel_t kChannel = 1;
constexpr int kFrameBytes = 131'072;

struct Destroy {
  void operator()(amqp_connection_state_t connection) const { amqp_destroy_connection(connection); }
};
using Connection = std::unique_ptr<amqp_connection_state_t_, Destroy>;

bool is_good(const amqp_rpc_reply_t& reply) {
  return reply.reply_type == AMQP_RESPONSE_NORMAL;
}

// Null: it does not answer.
Connection connect(const std::string& port) {
  Connection connection(amqp_new_connection());
  amqp_socket_t* const socket = amqp_tcp_socket_new(connection.get());
  if (socket == nullptr || amqp_socket_open(socket, "127.0.0.1", std::atoi(port.c_str())) != 0 ||
      !is_good(amqp_login(connection.get(), "/", 0, kFrameBytes, 0, AMQP_SASL_METHOD_PLAIN, "guest",
                          "guest"))) {
    return nullptr;
  }
  amqp_channel_open(connection.get(), kChannel);
  return is_good(amqp_get_rpc_reply(connection.get())) ? std::move(connection) : nullptr;
}

void check(const Connection& connection, const char* what) {
  if (!is_good(amqp_get_rpc_reply(connection.get()))) {
    give_up(std::string("RabbitMQ refuses ") + what);
  }
}

Connection connect_or_give_up(const std::string& port) {
  Connection connection = connect(port);
  if (!connection) give_up("RabbitMQ does not answer on port " + port);
  return connection;
}

// The next frame; false where none came in time.
bool next_frame(const Connection& connection, std::chrono::nanoseconds patience,
                amqp_frame_t& frame) {
  timeval limit{static_cast<time_t>(patience.count() / 1'000'000'000),
                static_cast<suseconds_t>(patience.count() / 1'000 % 1'000'000)};
  const int status = amqp_simple_wait_frame_noblock(connection.get(), &frame, &limit);
  if (status == AMQP_STATUS_TIMEOUT) return false;
  if (status != AMQP_STATUS_OK) {
    give_up(std::string("the connection to RabbitMQ is lost: ") + amqp_error_string2(status));
  }
  return true;
}

// Erlang's names of nodes, which would otherwise be a service that outlives the benchmark.
semper::testing::ProgramToStart names_of_nodes(const std::string& port) {
  semper::testing::ProgramToStart program;
  program.path = find_program({"/usr/bin/epmd"}, "rabbitmq-server");
  program.arguments = {"-port", port, "-address", "127.0.0.1"};
  return program;
}

class RabbitMq final : public System {
 public:
  explicit RabbitMq(const std::string& folder)
      : names_port_(std::to_string(semper::testing::free_port())),
        port_(std::to_string(semper::testing::free_port())),
        names_("epmd", folder, names_of_nodes(names_port_)),
        server_("rabbitmq", folder, program(folder)) {
    server_.wait_until([&] { return connect(port_) != nullptr; });
  }

  void prepare(std::size_t) override {
    const Connection connection = connect_or_give_up(port_);
    amqp_queue_delete(connection.get(), kChannel, amqp_cstring_bytes(kQueue), 0, 0);
    check(connection, "to delete its queue");
    amqp_table_entry_t quorum{};
    quorum.key = amqp_cstring_bytes("x-queue-type");
    quorum.value.kind = AMQP_FIELD_KIND_UTF8;
    quorum.value.value.bytes = amqp_cstring_bytes("quorum");
    const amqp_table_t arguments{1, &quorum};
    amqp_queue_declare(connection.get(), kChannel, amqp_cstring_bytes(kQueue), 0, 1, 0, 0,
                       arguments);
    check(connection, "a quorum queue");
  }
  std::string address() const override { return port_; }
  void freeze() override { server_.freeze(); }
  void thaw() override { server_.thaw(); }

 private:
  // The script under /usr/lib: the one in /usr/sbin changes the user and the folders.
  semper::testing::ProgramToStart program(const std::string& folder) const {
    semper::testing::ProgramToStart program;
    program.path = find_program({"/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server"},
                                "rabbitmq-server");
    // With RUNNING_UNDER_SYSTEMD the script becomes the server, rather than its parent: it has the
    // process id that is told to stop, and ends with this program.
    program.environment = {"RUNNING_UNDER_SYSTEMD=true",
                           "HOME=" + folder,
                           "RABBITMQ_NODENAME=semper-bench-" + port_ + "@localhost",
                           "RABBITMQ_NODE_IP_ADDRESS=127.0.0.1",
                           "RABBITMQ_NODE_PORT=" + port_,
                           "RABBITMQ_DIST_PORT=" + std::to_string(semper::testing::free_port()),
                           "RABBITMQ_MNESIA_BASE=" + folder + "/data",
                           "RABBITMQ_LOG_BASE=" + folder + "/log",
                           "RABBITMQ_ENABLED_PLUGINS_FILE=" + folder + "/plugins",
                           "RABBITMQ_CONF_ENV_FILE=" + folder + "/environment",
                           "RABBITMQ_CONFIG_FILE=" + folder + "/none",
                           "ERL_EPMD_ADDRESS=127.0.0.1",
                           "ERL_EPMD_PORT=" + names_port_};
    return program;
  }

  const std::string names_port_;
  const std::string port_;
  Server names_;
  Server server_;
};

std::unique_ptr<System> start(const std::string& folder) {
  return std::make_unique<RabbitMq>(folder);
}

class RabbitPublisher final : public Publisher {
 public:
  explicit RabbitPublisher(const std::string& port) : connection_(connect_or_give_up(port)) {
    amqp_confirm_select(connection_.get(), kChannel);
    check(connection_, "confirms");
  }

  void send(std::int64_t since_ns, const std::string& entity, const std::string& payload) override {
    const std::string message = payload + entity;
    amqp_basic_properties_t properties{};
    properties._flags = AMQP_BASIC_DELIVERY_MODE_FLAG;
    properties.delivery_mode = AMQP_DELIVERY_PERSISTENT;
    const int status = amqp_basic_publish(
        connection_.get(), kChannel, amqp_empty_bytes, amqp_cstring_bytes(kQueue), 0, 0,
        &properties, amqp_bytes_t{message.size(), const_cast<char*>(message.data())});
    if (status != AMQP_STATUS_OK) give_up("RabbitMQ takes no more");
    sent_.emplace(++tag_, since_ns);
  }

  void settle(std::chrono::nanoseconds patience, const Settled& settled) override {
    amqp_frame_t frame;
    // One that came, and all that lie there with it.
    for (bool first = true;
         next_frame(connection_, first ? patience : std::chrono::nanoseconds(0), frame);
         first = false) {
      amqp_maybe_release_buffers(connection_.get());
      if (frame.frame_type != AMQP_FRAME_METHOD) continue;
      if (frame.payload.method.id != AMQP_BASIC_ACK_METHOD) give_up("RabbitMQ refuses a message");
      const auto* ack = static_cast<const amqp_basic_ack_t*>(frame.payload.method.decoded);
      const auto from = ack->multiple != 0 ? sent_.begin() : sent_.find(ack->delivery_tag);
      const auto to = sent_.upper_bound(ack->delivery_tag);
      for (auto one = from; one != to; ++one) settled(one->second);
      sent_.erase(from, to);
    }
  }

 private:
  const Connection connection_;
  std::uint64_t tag_ = 0;
  std::map<std::uint64_t, std::int64_t> sent_;
};

class RabbitConsumer final : public Consumer {
 public:
  explicit RabbitConsumer(const std::string& port) : connection_(connect_or_give_up(port)) {
    amqp_basic_qos(connection_.get(), kChannel, 0, 4 * kBatch, 0);
    check(connection_, "a prefetch count");
    amqp_basic_consume(connection_.get(), kChannel, amqp_cstring_bytes(kQueue), amqp_empty_bytes, 0,
                       0, 0, amqp_empty_table);
    check(connection_, "a consumer");
  }

  int take(const Settled& settled) override {
    std::vector<std::int64_t> taken;
    std::uint64_t last = 0;
    timeval limit{0, 1'000};
    while (static_cast<int>(taken.size()) < kBatch) {
      amqp_envelope_t envelope;
      amqp_maybe_release_buffers(connection_.get());
      const auto reply = amqp_consume_message(connection_.get(), &envelope, &limit, 0);
      limit = {};  // after the first: what lies there
      if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION &&
          reply.library_error == AMQP_STATUS_TIMEOUT) {
        break;
      }
      if (!is_good(reply)) give_up("the connection to RabbitMQ is lost");
      const char* body = static_cast<const char*>(envelope.message.body.bytes);
      taken.push_back(since_ns_of(body));
      ++states_[std::string(body + kPayloadBytes, envelope.message.body.len - kPayloadBytes)];
      last = envelope.delivery_tag;
      amqp_destroy_envelope(&envelope);
    }
    if (taken.empty()) return 0;
    if (amqp_basic_ack(connection_.get(), kChannel, last, 1) != 0)
      give_up("RabbitMQ takes no more");
    for (const std::int64_t since_ns : taken) settled(since_ns);
    return static_cast<int>(taken.size());
  }

 private:
  const Connection connection_;
  std::unordered_map<std::string, std::int64_t> states_;
};

void publish(const Job& job) {
  RabbitPublisher publisher(job.address);
  publish_all(publisher, job);
}

void consume(const Job& job) {
  RabbitConsumer consumer(job.address);
  consume_all(consumer, job);
}

}  // namespace

Kind rabbitmq_kind() {
  return {
      "rabbitmq",
      "RabbitMQ",
      "quorum queue on one node, confirms after the flush of its log; acknowledgements unconfirmed",
      "no states",
      false,
      1 << 20,
      start,
      publish,
      consume};
}

}  // namespace semper::bench::peers
