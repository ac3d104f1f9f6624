// Channels, calls and streams against a server in this process, on loopback.
#include <gtest/gtest.h>

#include <asio/experimental/awaitable_operators.hpp>
#include <atomic>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "rpc/tls_test_support.h"
#include "semper/env/scheduler.h"
#include "semper/rpc/publisher.h"
#include "semper/rpc/server.h"
#include "semper/rpc/subscribe.h"

namespace semper::rpc::rpc_test {
namespace {

using namespace asio::experimental::awaitable_operators;
using namespace std::chrono_literals;
using Table = std::map<std::string, int>;
using Row = std::pair<std::string, int>;
using Tables = StateStream<Table, Row>;
using Numbers = PipeStream<int>;

constexpr char kEcho[] = "/test.Echo/Echo";
constexpr char kFail[] = "/test.Echo/Fail";
constexpr char kThrow[] = "/test.Echo/Throw";
constexpr char kHang[] = "/test.Echo/Hang";
constexpr char kWatch[] = "/test.Tables/Watch";
constexpr char kCount[] = "/test.Numbers/Count";
constexpr char kBare[] = "/test.Bare/Messages";
constexpr char kWords[] = "/test.Words/Watch";
constexpr char kRefuse[] = "/test.Words/Refuse";
constexpr char kSilent[] = "/test.Words/Silent";

Async<Bytes> echo(CallInfo, Bytes request) {
  co_return request;
}

Async<Bytes> fail_as_asked(CallInfo, Bytes request) {
  co_return fail(error_kind_from(request), "as asked");
}

Async<Bytes> throw_up(CallInfo, Bytes) {
  throw std::runtime_error("the handler's trouble");
  co_return Bytes();
}

Async<void> bare_messages(CallInfo, Bytes request, StreamWriter writer) {
  for (const char one : request) {
    SEMPER_CO_TRY_STATUS(co_await writer.write(Bytes(1, one)));
  }
  co_return Status();
}

// The kind that is asked for, before the first frame.
Async<void> refuse_stream(CallInfo, Bytes request, StreamWriter) {
  SEMPER_CO_TRY(auto asked, decode_request(request));
  co_return fail(error_kind_from(asked.request), "as asked");
}

Async<void> say_nothing(CallInfo, Bytes, StreamWriter) {
  OneShot<int> never;
  auto woken = co_await never.wait();
  co_return fail(woken.error());
}

constexpr char kHasty[] = "/test.Words/Hasty";
constexpr int kHastyMessages = 200;

// Each write but the last is cancelled before gRPC has taken it.
Async<void> write_hastily(CallInfo, Bytes, StreamWriter writer) {
  for (int i = 0; i < kHastyMessages; ++i) {
    OneShot<int> at_once;
    at_once.set(1);
    Bytes message = std::to_string(i) + Bytes(10'000, '.');
    static_cast<void>(co_await (at_once.wait() || writer.write(std::move(message))));
  }
  Bytes message = std::to_string(kHastyMessages) + Bytes(10'000, '.');
  co_return co_await writer.write(std::move(message));
}

class Rpc : public ::testing::Test {
 protected:
  Rpc() { start(); }
  ~Rpc() override {
    if (server) server->shutdown(0s);
  }

  Async<Bytes> hang() {
    ++hanging;
    OneShot<int> never;
    auto woken = co_await never.wait();
    if (!woken) {
      ++cancelled;
      ended.set(1);
      co_return fail(woken.error());
    }
    co_return Bytes();
  }

  void start(ServerOptions options = ServerOptions()) {
    Methods methods;
    methods.unary(kEcho, echo)
        .unary(kFail,
               [this](CallInfo info, Bytes request) {
                 ++failing;
                 return fail_as_asked(std::move(info), std::move(request));
               })
        .unary(kThrow, throw_up)
        .unary(kHang, [this](CallInfo, Bytes) { return hang(); })
        .streaming(kWatch, tables.handler())
        .streaming(kCount, numbers.handler())
        .streaming(kBare, bare_messages)
        .streaming(kWords, words.handler())
        .streaming(kRefuse, refuse_stream)
        .streaming(kSilent, say_nothing)
        .streaming(kHasty, write_hastily);
    options.executor = scheduler.executor();
    if (port != 0) options.address = "127.0.0.1:" + std::to_string(port);
    auto started = Server::start(methods, options);
    ASSERT_TRUE(started) << started.error().to_string();
    server.emplace(std::move(*started));
    port = server->port();
  }
  void stop() {
    server->shutdown(0s);
    server.reset();
  }

  ChannelOptions to_server() {
    ChannelOptions options;
    options.address = "localhost:" + std::to_string(port);
    options.connect_deadline = 10s;
    return options;
  }

  Result<Bytes> call_once(const char* method, Bytes request, CallOptions options = CallOptions()) {
    auto task = [](ChannelOptions to, std::string name, Bytes bytes,
                   CallOptions with) -> Async<Bytes> {
      SEMPER_CO_TRY(auto channel, co_await connect(std::move(to)));
      co_return co_await call(channel, std::move(name), std::move(bytes), std::move(with));
    };
    return scheduler.block_on(task(to_server(), method, std::move(request), std::move(options)));
  }

  StreamOptions quickly() {
    StreamOptions options;
    options.resubscribe_delay = 5ms;
    return options;
  }

  // An event that does not come ends the test.
  template <class Stream>
  typename Stream::Event next(Stream& stream) {
    const auto timer = system_clock().call_at(system_clock().after(10s), [&] { stream.close(); });
    auto event = scheduler.block_on(stream.next());
    system_clock().cancel(timer);
    if (!event) throw std::runtime_error(event.error().to_string());
    return std::move(*event);
  }
  // Skips events until one of that type.
  template <class E, class Stream>
  E until(Stream& stream) {
    while (true) {
      auto event = next(stream);
      if (auto* found = std::get_if<E>(&event)) return std::move(*found);
    }
  }

  Scheduler scheduler{{.threads = 2}};
  StatePublisher<Table, Row> tables{Table{{"a", 1}},
                                    [](Table& t, const Row& row) { t[row.first] = row.second; }};
  PipePublisher<int> numbers;
  PipePublisher<std::string> words;
  std::atomic<int> failing = 0;  // calls to kFail
  std::atomic<int> hanging = 0;
  std::atomic<int> cancelled = 0;
  OneShot<int> ended;
  std::uint16_t port = 0;
  std::optional<Server> server;
};

TEST_F(Rpc, a_call_gets_its_answer) {
  const Bytes big(300'000, 'x');
  EXPECT_EQ(call_once(kEcho, "hello").value(), "hello");
  EXPECT_EQ(call_once(kEcho, "").value(), "");
  EXPECT_EQ(call_once(kEcho, big).value(), big);
}

TEST_F(Rpc, every_kind_of_error_arrives_as_itself) {
  for (int i = 1; i <= static_cast<int>(ErrorKind::internal); ++i) {
    const auto kind = static_cast<ErrorKind>(i);
    const auto answer = call_once(kFail, Bytes(to_string(kind)));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().kind(), kind) << answer.error().to_string();
    EXPECT_NE(answer.error().message().find("as asked"), std::string::npos);
    EXPECT_EQ(failing, i) << "a call that a server has seen was sent again";
  }
}

TEST_F(Rpc, a_handler_that_throws_is_an_internal_error) {
  const auto answer = call_once(kThrow, "");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind(), ErrorKind::internal);
  EXPECT_NE(answer.error().message().find("the handler's trouble"), std::string::npos);
}

TEST_F(Rpc, a_method_that_is_not_there_is_unsupported) {
  EXPECT_EQ(call_once("/test.Echo/Nothing", "").error().kind(), ErrorKind::unsupported);
}

TEST_F(Rpc, a_deadline_ends_the_call_and_the_handler) {
  CallOptions options;
  options.deadline = 50ms;
  EXPECT_EQ(call_once(kHang, "", options).error().kind(), ErrorKind::timeout);
  EXPECT_TRUE(scheduler.block_on(ended.wait()));
  EXPECT_EQ(cancelled, 1);
}

TEST_F(Rpc, a_request_that_is_too_large_is_exhausted) {
  stop();
  ServerOptions options;
  options.max_message_bytes = 1000;
  start(options);
  EXPECT_EQ(call_once(kEcho, Bytes(2000, 'x')).error().kind(), ErrorKind::exhausted);
}

TEST_F(Rpc, a_call_past_the_bound_is_refused) {
  stop();
  ServerOptions options;
  options.max_calls = 0;
  start(options);
  EXPECT_EQ(call_once(kEcho, "").error().kind(), ErrorKind::exhausted);
}

TEST_F(Rpc, nobody_at_the_address_is_an_io_error) {
  stop();
  EXPECT_EQ(call_once(kEcho, "").error().kind(), ErrorKind::io);
}

TEST_F(Rpc, an_address_that_is_taken_is_an_io_error) {
  ServerOptions options;
  options.executor = scheduler.executor();
  options.address = "127.0.0.1:" + std::to_string(port);
  EXPECT_EQ(Server::start(Methods(), options).error().kind(), ErrorKind::io);
}

TEST_F(Rpc, a_call_that_is_not_authorized_is_refused) {
  stop();
  ServerOptions options;
  options.authorize = [](const CallInfo& info) -> Status {
    if (info.metadata.contains("pass")) return Status();
    return fail(ErrorKind::permission, "no pass");
  };
  start(options);
  EXPECT_EQ(call_once(kEcho, "x").error().kind(), ErrorKind::permission);
  CallOptions with_pass;
  with_pass.metadata.emplace("pass", "1");
  EXPECT_EQ(call_once(kEcho, "x", with_pass).value(), "x");
}

TEST_F(Rpc, mutual_tls_refuses_a_caller_without_a_certificate) {
  stop();
  ServerOptions options;
  options.credentials = {identity().certificate, identity().private_key, identity().certificate};
  options.authorize = [](const CallInfo& info) -> Status {
    if (info.authorization() == "Bearer sesame") return Status();
    return fail(ErrorKind::permission, "wrong token");
  };
  start(options);
  auto attempt = [&](Credentials credentials) {
    auto task = [](ChannelOptions to) -> Async<Bytes> {
      SEMPER_CO_TRY(auto channel, co_await connect(std::move(to)));
      co_return co_await call(channel, kEcho, "x");
    };
    auto to = to_server();
    to.credentials = std::move(credentials);
    return scheduler.block_on(task(std::move(to)));
  };
  auto good = Credentials::mutual_tls(identity().certificate, identity().certificate,
                                      identity().private_key);
  EXPECT_EQ(attempt(good).error().kind(), ErrorKind::permission) << "no token";
  good.token = []() -> Result<std::string> { return "sesame"; };
  const auto answer = attempt(good);
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_FALSE(attempt(Credentials::tls(identity().certificate))) << "no certificate";
  EXPECT_FALSE(attempt(Credentials::insecure())) << "no TLS";
  auto open = Credentials::insecure();
  open.token = good.token;
  EXPECT_EQ(attempt(open).error().kind(), ErrorKind::invalid_argument);
}

TEST_F(Rpc, health_says_what_the_server_says) {
  auto ask = [&](std::string service) {
    auto task = [](ChannelOptions to, std::string name) -> Async<void> {
      SEMPER_CO_TRY(auto channel, co_await connect(std::move(to)));
      co_return co_await check_health(channel, std::move(name), 10s);
    };
    return scheduler.block_on(task(to_server(), std::move(service)));
  };
  EXPECT_TRUE(ask(""));
  EXPECT_TRUE(ask("test.Echo"));
  EXPECT_EQ(ask("no.Such").error().kind(), ErrorKind::not_found);
  server->set_serving(false);
  EXPECT_EQ(ask("").error().kind(), ErrorKind::retry);
}

TEST_F(Rpc, a_durable_channel_heals_at_another_address) {
  auto asked = std::make_shared<std::atomic<int>>(0);
  ChannelOptions options;
  options.resolve = [this, asked]() -> Async<std::string> {
    ++*asked;
    co_return "127.0.0.1:" + std::to_string(port);
  };
  auto channel = durable_channel(options);
  auto use = [](Channel& c) { return call(c, kEcho, "x"); };
  EXPECT_EQ(*asked, 0) << "built before its first use";
  EXPECT_TRUE(scheduler.block_on(channel.with(use)));
  stop();
  for (int i = 0; i < 1000 && scheduler.block_on(channel.with(use)); ++i) continue;
  EXPECT_FALSE(scheduler.block_on(channel.with(use)));
  port = 0;
  start();
  const auto answer = scheduler.block_on(channel.with(use));
  EXPECT_TRUE(answer) << answer.error().to_string();
  EXPECT_GE(*asked, 3);
}

TEST_F(Rpc, a_state_stream_follows_its_publisher) {
  auto stream = Tables::create(scheduler.executor(), durable_channel(to_server()),
                               subscribe<Tables>(kWatch), quickly());
  EXPECT_TRUE(std::holds_alternative<stream::AttemptingNewConnection>(next(stream)));
  EXPECT_TRUE(std::holds_alternative<stream::ConnectionSuccess<stream::NoMetadata>>(next(stream)));
  auto state = next(stream);
  ASSERT_TRUE(std::holds_alternative<stream::State<Table>>(state));
  EXPECT_EQ(std::get<stream::State<Table>>(state).state, (Table{{"a", 1}}));
  tables.publish({Row("b", 2), Row("c", 3)});
  tables.publish({Row("d", 4)});
  const auto first = until<stream::UpdateBatch<Row>>(stream);
  EXPECT_EQ(first.updates, (std::vector<Row>{Row("b", 2), Row("c", 3)})) << "a batch stays whole";
  EXPECT_EQ(until<stream::UpdateBatch<Row>>(stream).updates.size(), 1u);
  tables.close();
  EXPECT_EQ(until<stream::LostConnection>(stream).reason.kind(), ErrorKind::closed);
}

TEST_F(Rpc, a_stream_goes_on_after_a_restart_without_loss_or_repetition) {
  auto stream = Numbers::create(scheduler.executor(), durable_channel(to_server()),
                                subscribe<Numbers>(kCount), quickly());
  until<stream::ConnectionSuccess<stream::NoMetadata>>(stream);
  int published = 0;
  int seen = 0;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 5; ++i) numbers.publish({published++});
    while (seen < published) {
      const auto batch = until<stream::UpdateBatch<int>>(stream);
      for (const int number : batch.updates) ASSERT_EQ(number, seen++);
    }
    stop();
    for (int i = 0; i < 5; ++i) numbers.publish({published++});
    start();
    until<stream::ConnectionResumed<stream::NoMetadata>>(stream);
  }
  while (seen < published) {
    const auto batch = until<stream::UpdateBatch<int>>(stream);
    for (const int number : batch.updates) ASSERT_EQ(number, seen++);
  }
  EXPECT_EQ(stream.statistics().gaps, 0u);
}

TEST_F(Rpc, a_refused_stream_is_an_rpc_error) {
  auto stream = Tables::create(scheduler.executor(), durable_channel(to_server()),
                               subscribe<Tables>("/test.Tables/Nothing"), quickly());
  EXPECT_EQ(until<stream::RpcError>(stream).error.kind(), ErrorKind::unsupported);
}

TEST_F(Rpc, a_server_that_refuses_is_an_rpc_error_and_a_call_that_fails_on_the_way_is_not) {
  for (const ErrorKind kind : {ErrorKind::io, ErrorKind::timeout, ErrorKind::permission}) {
    auto stream = Numbers::create(scheduler.executor(), durable_channel(to_server()),
                                  subscribe<Numbers>(kRefuse, Bytes(to_string(kind))), quickly());
    auto attempt = next(stream);
    EXPECT_TRUE(std::holds_alternative<stream::AttemptingNewConnection>(attempt));
    auto event = next(stream);
    auto* refused = std::get_if<stream::RpcError>(&event);
    ASSERT_NE(refused, nullptr) << to_string(kind);
    EXPECT_EQ(refused->error.kind(), kind);
  }
  CallOptions options;
  options.deadline = 50ms;
  auto silent = Numbers::create(scheduler.executor(), durable_channel(to_server()),
                                subscribe<Numbers>(kSilent, {}, options), quickly());
  next(silent);
  auto event = next(silent);
  auto* failed = std::get_if<stream::FailedToConnect>(&event);
  ASSERT_NE(failed, nullptr);
  EXPECT_EQ(failed->error.kind(), ErrorKind::timeout);
}

TEST_F(Rpc, an_update_that_cannot_be_taken_is_skipped_and_the_stream_goes_on) {
  using Words = PipeStream<std::string>;
  ChannelOptions small = to_server();
  small.max_message_bytes = 1000;
  auto too_large = Words::create(scheduler.executor(), durable_channel(small),
                                 subscribe<Words>(kWords), quickly());
  // A number is asked for where words come.
  auto not_decoded = Numbers::create(scheduler.executor(), durable_channel(to_server()),
                                     subscribe<Numbers>(kWords), quickly());
  using Success = stream::ConnectionSuccess<stream::NoMetadata>;
  until<Success>(too_large);
  until<Success>(not_decoded);
  words.publish({std::string(2000, 'x')});
  auto passed_over = [&](auto& stream) {
    for (int losses = 1; losses <= stream::kUnreadableAtOnePlace; ++losses) {
      const auto lost = until<stream::LostConnection>(stream);
      EXPECT_EQ(lost.reason.kind(), ErrorKind::invalid_argument) << lost.reason.to_string();
    }
    EXPECT_EQ(until<stream::Gap>(stream).reason.kind(), ErrorKind::invalid_argument);
    until<Success>(stream);
  };
  passed_over(too_large);
  passed_over(not_decoded);
  words.publish({"short"});
  EXPECT_EQ(until<stream::UpdateBatch<std::string>>(too_large).updates.at(0), "short");
}

TEST_F(Rpc, a_reader_of_messages_that_loses_a_race_loses_no_message) {
  std::string seen;
  Scheduler one_thread;  // as Asio's cancellation asks for
  one_thread.block_on([&]() -> Task<void> {
    auto channel = co_await connect(to_server());
    EXPECT_TRUE(channel);
    auto messages = open_stream(*channel, kBare, "0123456789");
    for (int race = 0; seen.size() < 10 && race < 1000; ++race) {
      OneShot<int> rival;
      if (race % 2 == 0) rival.set(1);
      auto first = co_await (rival.wait() || messages.next());
      if (first.index() == 0) continue;
      auto message = std::get<1>(std::move(first));
      if (message && *message) seen += **message;
    }
  }());
  EXPECT_EQ(seen, "0123456789");
}

TEST_F(Rpc, a_write_that_is_cancelled_goes_on_and_the_next_one_comes_after_it) {
  int last = -1;
  auto read = [&]() -> Task<void> {
    auto channel = co_await connect(to_server());
    EXPECT_TRUE(channel);
    auto messages = open_stream(*channel, kHasty, "");
    for (auto message = co_await messages.next(); message && *message;
         message = co_await messages.next()) {
      const int number = std::stoi(**message);
      EXPECT_EQ(**message, std::to_string(number) + Bytes(10'000, '.'));
      EXPECT_GT(number, last) << "repeated, or out of order";
      last = number;
    }
  };
  scheduler.block_on(read());
  EXPECT_EQ(last, kHastyMessages) << "the one that was not cancelled";
}

TEST_F(Rpc, an_authorize_that_throws_refuses_the_call) {
  for (const bool odd : {false, true}) {
    stop();
    ServerOptions options;
    options.authorize = [odd](const CallInfo&) -> Result<void> {
      if (odd) throw 7;  // NOLINT: not every exception is a std::exception
      throw std::runtime_error("no idea who that is");
    };
    start(options);
    EXPECT_EQ(call_once(kEcho, "").error().kind(), ErrorKind::permission);
  }
}

TEST_F(Rpc, a_stream_to_nobody_fails_to_connect) {
  stop();
  auto stream = Tables::create(scheduler.executor(), durable_channel(to_server()),
                               subscribe<Tables>(kWatch), quickly());
  EXPECT_EQ(until<stream::FailedToConnect>(stream).error.kind(), ErrorKind::io);
}

TEST_F(Rpc, a_pipe_where_a_state_is_due_is_an_rpc_error) {
  auto stream = Tables::create(scheduler.executor(), durable_channel(to_server()),
                               subscribe<Tables>(kCount), quickly());
  EXPECT_EQ(until<stream::RpcError>(stream).error.kind(), ErrorKind::invalid_argument);
}

TEST_F(Rpc, a_server_of_plain_messages_is_a_pipe_too) {
  auto decode = [](Bytes bytes) -> Result<Bytes> { return bytes; };
  using Pipe = PipeStream<Bytes>;
  auto stream = Pipe::create(scheduler.executor(), durable_channel(to_server()),
                             subscribe_messages<Pipe>(kBare, "xyz", decode), quickly());
  Bytes seen;
  for (int i = 0; i < 3; ++i) seen += until<stream::UpdateBatch<Bytes>>(stream).updates.at(0);
  EXPECT_EQ(seen, "xyz");
  EXPECT_EQ(until<stream::LostConnection>(stream).reason.kind(), ErrorKind::closed);
}

TEST_F(Rpc, a_closed_stream_releases_its_call) {
  {
    auto stream = Tables::create(scheduler.executor(), durable_channel(to_server()),
                                 subscribe<Tables>(kWatch), quickly());
    until<stream::State<Table>>(stream);
    EXPECT_EQ(server->calls(), 1u);
    scheduler.block_on(stream.join());
  }
  server->shutdown(10s);  // waits for the calls that are left
  EXPECT_EQ(server->calls(), 0u);
}

TEST_F(Rpc, a_batch_that_throws_halfway_gives_everybody_the_state_as_it_is) {
  StatePublisher<Table, Row> fragile(Table{}, [](Table& t, const Row& r) {
    if (r.second < 0) throw std::runtime_error("a row that is none");
    t[r.first] = r.second;
  });
  stop();
  tables = fragile;
  start();
  auto stream = Tables::create(scheduler.executor(), durable_channel(to_server()),
                               subscribe<Tables>(kWatch), quickly());
  until<stream::State<Table>>(stream);
  EXPECT_THROW(fragile.publish({Row("a", 1), Row("b", -1)}), std::runtime_error);
  EXPECT_EQ(until<stream::State<Table>>(stream).state, (Table{{"a", 1}}));
  fragile.publish({Row("c", 3)});
  EXPECT_EQ(until<stream::UpdateBatch<Row>>(stream).updates, (std::vector{Row("c", 3)}));
}

TEST_F(Rpc, a_reader_that_falls_out_of_the_history_gets_a_new_state) {
  PublisherOptions options;
  options.history_batches = 2;
  StatePublisher<Table, Row> small(
      Table{}, [](Table& t, const Row& r) { t[r.first] = r.second; }, options);
  stop();
  tables = small;
  start();
  auto stream = Tables::create(scheduler.executor(), durable_channel(to_server()),
                               subscribe<Tables>(kWatch), quickly());
  until<stream::State<Table>>(stream);
  stop();
  for (int i = 0; i < 5; ++i) small.publish({Row("x", i)});
  start();
  until<stream::Gap>(stream);
  EXPECT_EQ(until<stream::State<Table>>(stream).state, (Table{{"x", 4}}));
}

TEST_F(Rpc, a_thousand_streams_share_one_channel) {
  auto channel = durable_channel(to_server());
  std::vector<Tables> streams;
  for (int i = 0; i < 1000; ++i) {
    streams.push_back(
        Tables::create(scheduler.executor(), channel, subscribe<Tables>(kWatch), quickly()));
  }
  for (auto& stream : streams) until<stream::State<Table>>(stream);
  tables.publish({Row("z", 26)});
  for (auto& stream : streams) {
    EXPECT_EQ(until<stream::UpdateBatch<Row>>(stream).updates.at(0).second, 26);
  }
  EXPECT_EQ(channel.statistics().attempts, 1u);
  for (auto& stream : streams) stream.close();
}

}  // namespace
}  // namespace semper::rpc::rpc_test
