// Channels to servers that are not ours: what they allow, what they say, what is on the way.
#include "semper/rpc/channel.h"

#include <grpcpp/generic/async_generic_service.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <stdexcept>

#include "rpc/addresses.h"
#include "rpc/grpc_support.h"
#include "rpc/tls_test_support.h"
#include "semper/env/scheduler.h"
#include "semper/rpc/duplex.h"
#include "semper/rpc/server.h"
#include "semper/rpc/subscribe.h"

namespace semper::rpc::rpc_test {
namespace {

using namespace std::chrono_literals;
using Pipe = PipeStream<Bytes>;

// What every gRPC server asks for unless it is told otherwise (gRFC A8): no ping within 5 minutes
// of the one before while nothing is sent, none at all without a call.
constexpr Duration kStockInterval = 5min;

std::optional<int> argument(const grpc::ChannelArguments& arguments, std::string_view key) {
  const auto all = arguments.c_channel_args();
  for (std::size_t i = 0; i < all.num_args; ++i) {
    const auto& one = all.args[i];
    if (one.type == GRPC_ARG_INTEGER && key == one.key) return one.value.integer;
  }
  return std::nullopt;
}

TEST(RpcChannel, by_default_it_pings_as_stock_servers_allow) {
  const ChannelOptions options;
  const auto made = channel_arguments(options, "db:1", options.keepalive);
  EXPECT_GE(argument(made, GRPC_ARG_KEEPALIVE_TIME_MS), milliseconds(kStockInterval));
  EXPECT_EQ(argument(made, GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS), 0);
}

TEST(RpcChannel, calls_that_no_server_saw_are_sent_again_and_no_others) {
  const auto made = channel_arguments(ChannelOptions(), "db:1", kForever);
  EXPECT_NE(argument(made, GRPC_ARG_ENABLE_RETRIES), 0);
  EXPECT_EQ(argument(made, GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION), 1);
}

// A server out of another house, on which each call is quiet for ever.
struct Quiet final : grpc::CallbackGenericService {
  struct Reactor final : grpc::ServerGenericBidiReactor {
    Reactor() {
      StartRead(&incoming);
      StartSendInitialMetadata();
    }
    void OnCancel() override { Finish(grpc::Status::CANCELLED); }
    void OnDone() override { delete this; }
    grpc::ByteBuffer incoming;
  };
  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext*) override {
    return new Reactor();
  }
};

class StockServer {
 public:
  explicit StockServer(Duration shortest_ping = kStockInterval) {
    static_cast<void>(begin_with_grpc());
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterCallbackGenericService(&quiet_);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                               milliseconds(shortest_ping));
    server_ = builder.BuildAndStart();
  }
  ~StockServer() { server_->Shutdown(std::chrono::system_clock::now()); }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  Quiet quiet_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

Durable<Channel> pinging(const StockServer& server, Duration every) {
  ChannelOptions options;
  options.address = server.address();
  options.keepalive = every;
  return durable_channel(options);
}

Pipe quiet_stream(Scheduler& scheduler, const Durable<Channel>& channel) {
  auto as_is = [](Bytes bytes) -> Result<Bytes> { return bytes; };
  return Pipe::create(scheduler.executor(), channel,
                      subscribe_messages<Pipe>("/quiet.Quiet/Watch", {}, as_is));
}

// The servers' intervals shortened: 1.5 s in the place of 5 minutes, and ours in the same
// proportion. gRPC pings each second at most, and the fourth ping that comes too early is one too
// many.
TEST(RpcChannel, a_client_that_pings_in_proportion_is_kept_and_one_that_pings_too_often_learns) {
  Scheduler scheduler;
  const StockServer server(1500ms);
  const auto allowed = pinging(server, std::chrono::milliseconds(1500 * kKeepaliveDefault / 5min));
  auto lasting = quiet_stream(scheduler, allowed);
  const auto reason_of_loss = [&](Pipe& stream) {
    while (true) {
      auto event = scheduler.block_on(stream.next());
      if (!event) return event.error().to_string();
      if (auto* lost = std::get_if<stream::LostConnection>(&*event))
        return lost->reason.to_string();
    }
  };
  // Two in turn, so that the lasting one has had the time for more than four.
  for (int turn = 0; turn < 2; ++turn) {
    const auto hasty = pinging(server, 1s);
    auto lost = quiet_stream(scheduler, hasty);
    const auto reason = reason_of_loss(lost);
    EXPECT_NE(reason.find("pings"), std::string::npos) << reason;
    auto now = scheduler.block_on(hasty.with([](Channel& channel) { return channel; }));
    ASSERT_TRUE(now);
    EXPECT_EQ(ChannelAccess::pings(*now)->every, 2s) << "half as often from then on";
    scheduler.block_on(lost.join());
  }
  EXPECT_EQ(allowed.statistics().attempts, 1u);
  const auto still = allowed.check();
  EXPECT_TRUE(still && *still);
  scheduler.block_on(lasting.join());
}

TEST(RpcChannel, metadata_and_names_that_cannot_be_sent_are_refused) {
  Scheduler scheduler;
  const StockServer server;
  ChannelOptions to;
  to.address = server.address();
  auto channel = scheduler.block_on(connect(to));
  ASSERT_TRUE(channel);
  const auto refused = [&](const std::string& method, const std::string& key,
                           const std::string& value) {
    CallOptions options;
    options.deadline = 10s;
    options.metadata.emplace(key, value);
    const auto one = scheduler.block_on(call(*channel, method, "", options));
    auto stream = open_stream(*channel, method, "", options);
    const auto many = scheduler.block_on(stream.next());
    auto duplex = open_duplex(*channel, method, options);
    EXPECT_EQ(duplex.send("x").error().kind(), ErrorKind::closed);
    const auto both = scheduler.block_on(duplex.next());
    EXPECT_EQ(many.error().to_string(), one.error().to_string());
    EXPECT_EQ(both.error().to_string(), one.error().to_string());
    EXPECT_EQ(one.error().kind(), ErrorKind::invalid_argument) << one.error().to_string();
    return one.error().message();
  };
  EXPECT_NE(refused("/q.Q/Watch", "Upper", "x").find("Upper"), std::string::npos);
  EXPECT_NE(refused("/q.Q/Watch", "line", "a\nb").find("line"), std::string::npos);
  EXPECT_NE(refused("/q.Q/Watch", "name", "Zo\xc3\xab").find("-bin"), std::string::npos);
  EXPECT_NE(refused("q.Q/Watch", "key", "x").find("q.Q/Watch"), std::string::npos);
  EXPECT_NE(refused("/q.Q/Watch", "", "x").find("metadata"), std::string::npos);
}

// Who takes the connection and never says a word, as a server that is stopped does.
class MuteListener {
 public:
  MuteListener() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    if (::bind(socket_, reinterpret_cast<sockaddr*>(&address), length) != 0 ||
        ::listen(socket_, 8) != 0 ||
        ::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
      throw std::runtime_error("cannot listen");
    }
    port_ = ntohs(address.sin_port);
  }
  ~MuteListener() { ::close(socket_); }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  const int socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int port_ = 0;
};

class RpcReasons : public ::testing::Test {
 protected:
  Error error_of(ChannelOptions options) {
    auto made = scheduler.block_on(connect(std::move(options)));
    return made ? Error(ErrorKind::internal, "it is connected") : made.error();
  }
  static bool says(const Error& error, std::string_view words) {
    return error.message().find(words) != std::string::npos;
  }
  Scheduler scheduler;
};

TEST_F(RpcReasons, a_port_where_nobody_listens_is_refused) {
  ChannelOptions options;
  options.address = "127.0.0.1:1";
  const auto error = error_of(options);
  EXPECT_EQ(error.kind(), ErrorKind::io);
  EXPECT_TRUE(says(error, "Connection refused")) << error.message();
}

TEST_F(RpcReasons, a_peer_that_never_answers_costs_the_connect_deadline) {
  const MuteListener mute;
  for (const auto& credentials : {Credentials::insecure(), Credentials::tls()}) {
    ChannelOptions options;
    options.address = mute.address();
    options.credentials = credentials;
    options.connect_deadline = 200ms;
    const auto error = error_of(options);
    EXPECT_TRUE(error.kind() == ErrorKind::timeout || error.kind() == ErrorKind::io)
        << error.to_string();
    EXPECT_TRUE(says(error, mute.address())) << error.message();
  }
}

TEST_F(RpcReasons, a_first_address_that_never_answers_leaves_the_others_their_time) {
  const MuteListener mute;
  ServerOptions serving;
  serving.executor = scheduler.executor();
  serving.address = "127.0.0.1:0";
  auto server = Server::start(Methods(), serving);
  ASSERT_TRUE(server) << server.error().to_string();
  ChannelOptions options;
  options.address = "ipv4:" + mute.address() + ",127.0.0.1:" + std::to_string(server->port());
  options.connect_deadline = 2s;
  const auto channel = scheduler.block_on(connect(options));
  EXPECT_TRUE(channel) << channel.error().to_string();
}

TEST(RpcAddresses, of_a_name_are_counted_and_anything_else_is_one) {
  Scheduler scheduler;
  const auto count = [&](const std::string& address) {
    return scheduler.block_on(count_addresses(address, 60s));
  };
  for (const char* one : {"127.0.0.1:1", "[::1]:1", "127.0.0.1", "unix:/tmp/x", "xds:///localhost",
                          "no name:1", "dns:///127.0.0.1:1", "dns:", "", ":", "a:b:c"}) {
    EXPECT_EQ(count(one), 1u) << one;
  }
  EXPECT_EQ(count("ipv4:1.2.3.4:5,1.2.3.5:5,1.2.3.6:5"), 3u);
  EXPECT_GE(count("localhost:1"), 1u);
  EXPECT_EQ(count("dns:///localhost:1"), count("localhost:1"));
  EXPECT_EQ(count("dns://127.0.0.1/localhost:1"), count("localhost"));
}

TEST_F(RpcReasons, a_server_is_reached_on_ipv6_and_on_a_socket_of_this_machine) {
  Methods methods;
  methods.unary("/t.T/Echo", [](CallInfo, Bytes request) -> Async<Bytes> { co_return request; });
  const std::string path = ::testing::TempDir() + "semper-rpc-" + std::to_string(::getpid());
  for (const std::string& place : {std::string("[::1]:0"), "unix:" + path}) {
    ServerOptions serving;
    serving.executor = scheduler.executor();
    serving.address = place;
    auto server = Server::start(methods, serving);
    ASSERT_TRUE(server) << server.error().to_string();
    ChannelOptions options;
    options.address = place.starts_with('[') ? "[::1]:" + std::to_string(server->port()) : place;
    const auto channel = scheduler.block_on(connect(options));
    ASSERT_TRUE(channel) << channel.error().to_string();
    EXPECT_EQ(scheduler.block_on(call(*channel, "/t.T/Echo", "x")).value(), "x") << place;
  }
}

TEST_F(RpcReasons, a_certificate_that_does_not_fit_is_named) {
  Methods none;
  ServerOptions serving;
  serving.executor = scheduler.executor();
  serving.credentials = {identity().certificate, identity().private_key, ""};
  auto server = Server::start(none, serving);
  ASSERT_TRUE(server);
  ChannelOptions options;
  options.address = "localhost:" + std::to_string(server->port());
  options.credentials = Credentials::tls();
  const auto error = error_of(options);
  EXPECT_TRUE(says(error, "certificate verify failed")) << error.message();
}

// The environment of this test's own process; nothing else of it runs meanwhile.
struct Variable {
  Variable(const char* of, const char* value) : name(of) { ::setenv(name, value, 1); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;
  ~Variable() { ::unsetenv(name); }
  const char* name;
};

TEST_F(RpcReasons, this_machine_is_not_reached_through_a_proxy) {
  const StockServer server;
  for (const char* name : {"http_proxy", "https_proxy", "grpc_proxy"}) {
    const Variable set(name, "http://127.0.0.1:1");
    ChannelOptions options;
    options.address = server.address();
    const auto made = scheduler.block_on(connect(options));
    EXPECT_TRUE(made) << name << ": " << made.error().to_string();
  }
}

TEST_F(RpcReasons, a_proxy_on_the_way_is_named_and_one_that_was_left_out_too) {
  const Variable set("https_proxy", "http://ann:secret@127.0.0.1:1");
  ChannelOptions options;
  options.address = "nobody.invalid:2379";  // nobody has it (RFC 2606)
  options.connect_deadline = 10s;
  const auto through = error_of(options);
  EXPECT_TRUE(says(through, "went through the proxy http://127.0.0.1:1, which https_proxy names"))
      << through.message();
  EXPECT_FALSE(says(through, "secret"));
  options.http_proxy = ChannelOptions::HttpProxy::none;
  options.connect_deadline = 1ms;
  const auto past = error_of(options);
  EXPECT_TRUE(says(past, "https_proxy names, was not used")) << past.message();
}

}  // namespace
}  // namespace semper::rpc::rpc_test
