// What a user is told where there is no connection, or no listener, and that it is true.
#include "rpc/refusals.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <future>
#include <vector>

#include "rpc/tls_test_support.h"
#include "semper/env/scheduler.h"
#include "semper/rpc/call.h"
#include "semper/rpc/channel.h"
#include "semper/rpc/server.h"

namespace semper::rpc::rpc_test {
namespace {

using namespace std::chrono_literals;

constexpr char kWho[] = "/t.T/Who";

bool says(const Error& error, const std::string& words) {
  return error.message().find(words) != std::string::npos;
}

class RpcRefusals : public ::testing::Test {
 protected:
  Result<Server> serve(const std::string& address, const std::string& name = "somebody",
                       const ServerCredentials& credentials = ServerCredentials()) {
    Methods methods;
    methods.unary(kWho, [name](CallInfo, Bytes) -> Async<Bytes> { co_return name; });
    ServerOptions options;
    options.executor = scheduler.executor();
    options.address = address;
    options.credentials = credentials;
    return Server::start(methods, std::move(options));
  }

  Result<std::string> ask(const std::string& address,
                          const Credentials& credentials = Credentials::insecure()) {
    ChannelOptions options;
    options.address = address;
    options.credentials = credentials;
    options.connect_deadline = 5s;
    SEMPER_TRY(const auto channel, scheduler.block_on(connect(std::move(options))));
    return scheduler.block_on(call(channel, kWho, ""));
  }

  Error error_of(const std::string& address,
                 const Credentials& credentials = Credentials::insecure()) {
    auto answer = ask(address, credentials);
    return answer ? Error(ErrorKind::internal, "answered: " + *answer) : answer.error();
  }

  static std::string port_of(const Server& server) { return std::to_string(server.port()); }

  const testing::TemporaryFolder folder;
  Scheduler scheduler;
};

TEST_F(RpcRefusals, a_second_server_does_not_take_the_socket_of_a_live_one) {
  const std::string address = "unix:" + folder.path("a.socket");
  auto first = serve(address, "first");
  ASSERT_TRUE(first) << first.error().to_string();
  {
    const auto second = serve(address, "second");
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().kind(), ErrorKind::io);
    EXPECT_TRUE(says(second.error(), "process " + std::to_string(::getpid()) + " listens there"))
        << second.error().message();
  }
  EXPECT_EQ(ask(address).value(), "first");
}

TEST_F(RpcRefusals, of_servers_that_begin_on_one_socket_at_the_same_moment_one_listens) {
  for (int round = 0; round < 10; ++round) {
    const std::string address = "unix:" + folder.path(std::to_string(round) + ".socket");
    std::vector<std::future<Result<Server>>> starts;
    for (int i = 0; i < 4; ++i) {
      starts.push_back(std::async(std::launch::async, [&] { return serve(address); }));
    }
    std::vector<Result<Server>> started;
    for (auto& start : starts) started.push_back(start.get());
    const auto listens = [](const auto& one) { return one.has_value(); };
    EXPECT_EQ(std::count_if(started.begin(), started.end(), listens), 1);
  }
}

TEST_F(RpcRefusals, a_socket_in_a_folder_that_somebody_has_locked_is_listened_on_all_the_same) {
  const int locked = ::open(folder.path("").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ASSERT_EQ(::flock(locked, LOCK_EX), 0);
  const auto server = serve("unix:" + folder.path("a.socket"));
  EXPECT_TRUE(server) << server.error().to_string();
  ::close(locked);
}

// As kill -9 leaves it.
TEST_F(RpcRefusals, a_socket_that_nobody_listens_on_any_more_is_taken) {
  const std::string path = folder.path("left.socket");
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  path.copy(name.sun_path, path.size());
  ASSERT_EQ(::bind(socket, reinterpret_cast<const sockaddr*>(&name), sizeof name), 0);
  ::close(socket);
  const auto server = serve("unix:" + path, "next");
  ASSERT_TRUE(server) << server.error().to_string();
  EXPECT_EQ(ask("unix:" + path).value(), "next");
}

TEST_F(RpcRefusals, why_a_server_cannot_listen_is_said) {
  const auto taken = serve("127.0.0.1:0");
  ASSERT_TRUE(taken);
  std::ofstream(folder.path("file")) << "precious";
  struct Case {
    std::string address;
    std::string words;
  };
  const std::vector<Case> cases = {
      {"127.0.0.1:" + port_of(*taken), "another program listens there"},
      {"192.0.2.1:0", "no address of this machine"},  // nobody's (RFC 5737)
      {"unix:" + folder.path("file"), "something else has that name"},
      {"unix:" + folder.path("absent/a.socket"), "does not exist"},
  };
  for (const auto& one : cases) {
    const auto server = serve(one.address);
    ASSERT_FALSE(server) << one.address;
    EXPECT_EQ(server.error().kind(), ErrorKind::io) << one.address;
    EXPECT_TRUE(says(server.error(), one.words)) << server.error().message();
  }
  EXPECT_EQ(whole_file(folder.path("file")), "precious");
}

TEST_F(RpcRefusals, an_address_that_grpc_would_take_for_another_is_refused) {
  const std::vector<std::string> nowhere = {"",
                                            ":7007",
                                            "127.0.0.1",
                                            "127.0.0.1:",
                                            "127.0.0.1:99999",
                                            "127.0.0.1:-1",
                                            "127.0.0.1:80x",
                                            "::1:7007",
                                            "[::1",
                                            "[::1]",
                                            "[::1]7007",
                                            "http://127.0.0.1:7007",
                                            "unix:",
                                            "unix:/" + std::string(200, 'x')};
  for (const auto& address : nowhere) {
    const auto server = serve(address);
    ASSERT_FALSE(server) << address;
    EXPECT_EQ(server.error().kind(), ErrorKind::invalid_argument) << server.error().to_string();
    const auto error = error_of(address);
    EXPECT_EQ(error.kind(), ErrorKind::invalid_argument) << error.to_string();
  }
  EXPECT_FALSE(serve("localhost"));  // gRPC would take 443
  EXPECT_EQ(error_of("127.0.0.1:0").kind(), ErrorKind::invalid_argument);
  for (const std::string good : {"localhost", "prices.example:https", "dns:///prices.example:443",
                                 "ipv4:127.0.0.1:7007,127.0.0.1:7008", "[::1]:7007"}) {
    EXPECT_TRUE(check_address(good, AddressUse::connect)) << good;
  }
  for (const std::string good : {"[::]:0", "0.0.0.0:7007", "*:0", "unix-abstract:semper"}) {
    EXPECT_TRUE(check_address(good, AddressUse::listen)) << good;
  }
}

TEST_F(RpcRefusals, credentials_that_cannot_be_used_are_invalid_and_not_tried_again) {
  const auto& ours = identity();
  const auto other = make_identity();
  const auto server = serve("localhost:0", "secret", {ours.certificate, ours.private_key, ""});
  ASSERT_TRUE(server) << server.error().to_string();
  const std::string address = "localhost:" + port_of(*server);
  EXPECT_EQ(ask(address, Credentials::tls(ours.certificate)).value(), "secret");

  const std::vector<Credentials> unusable = {
      Credentials::tls("garbage"), Credentials::tls(ours.private_key),
      Credentials::mutual_tls(ours.certificate, ours.certificate, other.private_key),
      Credentials::mutual_tls(ours.certificate, "x", "y")};
  for (const auto& credentials : unusable) {
    const auto error = error_of(address, credentials);
    EXPECT_EQ(error.kind(), ErrorKind::invalid_argument) << error.to_string();
    EXPECT_TRUE(says(error, "cannot use the TLS credentials")) << error.message();
  }
  const std::vector<ServerCredentials> serving = {{ours.certificate, other.private_key, ""},
                                                  {"x", "y", ""},
                                                  {ours.certificate, ours.private_key, "zz"}};
  for (const auto& credentials : serving) {
    const auto refused = serve("127.0.0.1:0", "nobody", credentials);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::invalid_argument) << refused.error().to_string();
  }
}

TEST_F(RpcRefusals, why_a_handshake_failed_is_said) {
  const auto& ours = identity();
  const auto secret = serve("localhost:0", "secret", {ours.certificate, ours.private_key, ""});
  const auto mutual =
      serve("localhost:0", "mutual", {ours.certificate, ours.private_key, ours.certificate});
  const auto plain = serve("localhost:0");
  ASSERT_TRUE(secret && mutual && plain);
  const auto tls = Credentials::tls(ours.certificate);
  struct Case {
    std::string address;
    Credentials credentials;
    std::string words;
  };
  const std::vector<Case> cases = {
      {"localhost:" + port_of(*secret), Credentials::tls(make_identity().certificate),
       "has expired, is not valid yet, or is signed by none"},
      {"[::ffff:127.0.0.1]:" + port_of(*secret), tls, "is for other names"},
      {"localhost:" + port_of(*secret), Credentials::insecure(), "does it speak TLS only"},
      {"localhost:" + port_of(*plain), tls, "does not speak TLS"},
      {"localhost:" + port_of(*mutual), tls, "ask for a client's certificate"},
      {"unix:" + folder.path("absent"), Credentials::insecure(), "no such socket"},
  };
  for (const auto& one : cases) {
    const auto error = error_of(one.address, one.credentials);
    EXPECT_EQ(error.kind(), ErrorKind::io) << error.to_string();
    EXPECT_TRUE(says(error, one.words)) << one.words << ": " << error.message();
    EXPECT_FALSE(says(error, "nobody listens there")) << error.message();
  }
}

TEST_F(RpcRefusals, a_server_that_takes_connections_and_does_not_answer_is_not_called_unreachable) {
  const auto failure = failure_of(
      "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:7201: connection "
      "attempt timed out before receiving SETTINGS frame",
      false);
  EXPECT_FALSE(failure.is_permanent);
  EXPECT_NE(failure.cause.find("does not answer"), std::string::npos) << failure.cause;
}

}  // namespace
}  // namespace semper::rpc::rpc_test
