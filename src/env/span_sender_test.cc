#include "semper/env/span_sender.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <deque>
#include <mutex>
#include <thread>

#include "env/otlp_request.h"
#include "semper/env/asio_net.h"
#include "semper/testing/free_port.h"

namespace semper {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::StartsWith;

Span sampled_span(std::string name = "process Order.Ship") {
  Span span;
  span.context = *TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
  span.name = std::move(name);
  return span;
}

// Answers each request with the next of its answers, then with the last again. "": it reads, and
// closes the connection.
class Collector {
 public:
  explicit Collector(std::deque<std::string> answers, std::uint16_t port = 0)
      : answers_(std::move(answers)),
        acceptor_(loop_, asio::ip::tcp::endpoint(asio::ip::address_v4::loopback(), port)) {
    asio::co_spawn(loop_, serve(), asio::detached);
    thread_ = std::thread([this] { loop_.run(); });
  }
  ~Collector() {
    loop_.stop();
    thread_.join();
  }
  std::string url() const {
    return "http://127.0.0.1:" + std::to_string(acceptor_.local_endpoint().port());
  }
  std::vector<std::string> requests() {
    std::lock_guard lock(mutex_);
    return requests_;
  }
  void until(std::size_t count) {
    while (requests().size() < count) std::this_thread::yield();
  }

  static std::string answer(const std::string& status, const std::string& body = "{}") {
    return "HTTP/1.1 " + status + "\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\n\r\n" + body;
  }

 private:
  asio::awaitable<void> serve() {
    while (true) {
      auto socket = co_await acceptor_.async_accept(asio::use_awaitable);
      std::string request;
      std::error_code error;
      std::string chunk(65'536, '\0');
      while (!error && !internal::is_whole_answer(request)) {  // a request has a length, too
        const auto size = co_await socket.async_read_some(
            asio::buffer(chunk), asio::redirect_error(asio::use_awaitable, error));
        request.append(chunk, 0, size);
      }
      std::string told;
      {
        std::lock_guard lock(mutex_);
        requests_.push_back(request);
        told = answers_.front();
        if (answers_.size() > 1) answers_.pop_front();
      }
      if (told.empty()) continue;
      co_await asio::async_write(socket, asio::buffer(told),
                                 asio::redirect_error(asio::use_awaitable, error));
    }
  }

  std::mutex mutex_;
  std::deque<std::string> answers_;
  std::vector<std::string> requests_;
  asio::io_context loop_{1};
  asio::ip::tcp::acceptor acceptor_;
  std::thread thread_;
};

TEST(SpanSenders, post_spans_as_otlp_and_have_sent_all_when_they_are_destroyed) {
  Collector collector({Collector::answer("200 OK")});
  SpanSenderOptions options;
  options.buffer.service = "shop";
  options.headers = {{"X-Tenant", "blue"}};
  auto sender = SpanSender::start(collector.url(), options);
  ASSERT_TRUE(sender) << sender.error().to_string();
  for (int i = 0; i < 1000; ++i) (*sender)->spans().add(sampled_span());
  sender->reset();
  std::size_t spans = 0;
  for (const auto& request : collector.requests()) {
    EXPECT_THAT(request, StartsWith("POST /v1/traces HTTP/1.1\r\nHost: 127.0.0.1:"));
    EXPECT_THAT(request, HasSubstr("\r\nContent-Type: application/json\r\n"));
    EXPECT_THAT(request, HasSubstr("\r\nX-Tenant: blue\r\n"));
    EXPECT_THAT(request, HasSubstr("\r\n\r\n{\"resourceSpans\":"));
    for (std::size_t at = 0; (at = request.find("\"spanId\"", at)) != std::string::npos; ++at) {
      ++spans;
    }
  }
  EXPECT_EQ(spans, 1000u);
}

TEST(SpanSenders, send_again_what_a_collector_could_not_take_yet) {
  Collector collector(
      {"", Collector::answer("503 Service Unavailable"), Collector::answer("200 OK")});
  auto sender = SpanSender::start(collector.url());
  ASSERT_TRUE(sender);
  (*sender)->spans().add(sampled_span("the one"));
  collector.until(3);
  while ((*sender)->sent() == 0) std::this_thread::yield();
  EXPECT_EQ((*sender)->sent(), 1u);
  EXPECT_EQ((*sender)->lost(), 0u);
  for (const auto& request : collector.requests()) EXPECT_THAT(request, HasSubstr("the one"));
}

TEST(SpanSenders, count_what_a_collector_refuses) {
  Collector collector({Collector::answer("400 Bad Request"),
                       Collector::answer("200 OK", R"({"partialSuccess":{"rejectedSpans":"1"}})")});
  auto sender = SpanSender::start(collector.url());
  ASSERT_TRUE(sender);
  (*sender)->spans().add(sampled_span());
  while ((*sender)->lost() < 1) std::this_thread::yield();
  (*sender)->spans().add(sampled_span());
  while ((*sender)->lost() < 2) std::this_thread::yield();
  EXPECT_EQ((*sender)->sent(), 0u);
}

TEST(SpanSenders, without_a_collector_hold_nobody_up_and_end_in_time) {
  SpanSenderOptions options;
  options.flush = 1ms;
  options.buffer.max_spans = 10;
  const std::string nobody = "http://localhost:" + std::to_string(testing::free_port());
  auto sender = SpanSender::start(nobody, options);
  ASSERT_TRUE(sender) << sender.error().to_string();
  for (int i = 0; i < 1000; ++i) (*sender)->spans().add(sampled_span());
  EXPECT_GE((*sender)->spans().dropped(), 1u);
  sender->reset();
}

TEST(SpanSenders, of_a_collector_that_does_not_answer_end_in_time) {
  asio::io_context loop;
  const asio::ip::tcp::acceptor silent(
      loop, asio::ip::tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  SpanSenderOptions options;
  options.flush = 1ms;
  auto sender = SpanSender::start(
      "http://127.0.0.1:" + std::to_string(silent.local_endpoint().port()), options);
  ASSERT_TRUE(sender);
  (*sender)->spans().add(sampled_span());
  sender->reset();
}

TEST(SpanSenders, of_a_parent_do_nothing_in_a_forked_child) {
  Collector collector({Collector::answer("200 OK")});
  auto sender = SpanSender::start(collector.url());
  ASSERT_TRUE(sender);
  const pid_t child = ::fork();
  if (child == 0) {
    sender->reset();  // returns at once
    ::_exit(0);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(SpanSenders, take_loopback_addresses_only) {
  using internal::parse_otlp_endpoint;
  for (const char* good : {"http://localhost", "http://localhost:4318/", "http://127.0.0.1:4318"}) {
    const auto endpoint = parse_otlp_endpoint(good);
    ASSERT_TRUE(endpoint) << good << ": " << endpoint.error().to_string();
    EXPECT_EQ(endpoint->port, 4318);
    EXPECT_EQ(endpoint->path, "/v1/traces");
  }
  const auto v6 = parse_otlp_endpoint("http://[::1]:9/x/y?z");
  ASSERT_TRUE(v6);
  EXPECT_EQ(v6->host, "[::1]:9");
  EXPECT_EQ(v6->path, "/x/y?z");
  for (const char* elsewhere :
       {"http://collector:4318", "http://10.0.0.1", "https://localhost:4318", "http://0.0.0.0:4318",
        "http://localhost.example.com"}) {
    const auto endpoint = parse_otlp_endpoint(elsewhere);
    ASSERT_FALSE(endpoint) << elsewhere;
    EXPECT_EQ(endpoint.error().kind(), ErrorKind::unsupported) << elsewhere;
  }
  for (const char* none : {"", "localhost:4318", "http://", "http://localhost:0", "http://[::1",
                           "http://localhost:99999", "http://localhost:4318/a b",
                           "http://localhost:43x", "http://localhost/\r\nX: y"}) {
    const auto endpoint = parse_otlp_endpoint(none);
    ASSERT_FALSE(endpoint) << none;
    EXPECT_EQ(endpoint.error().kind(), ErrorKind::invalid_argument) << none;
  }
  SpanSenderOptions options;
  options.headers = {{"X", "a\r\nY: b"}};
  EXPECT_FALSE(SpanSender::start("http://localhost", options));
}

TEST(SpanSenders, read_answers_whatever_they_are) {
  using internal::parse_otlp_answer;
  EXPECT_EQ(parse_otlp_answer("HTTP/1.0 204 No Content\r\n\r\n")->status, 204);
  EXPECT_EQ(parse_otlp_answer(Collector::answer("200 OK", R"({"rejectedSpans": 7 })"))->rejected,
            7u);
  for (const char* none : {"", "HTTP/1.1", "HTTP/1.1 2", "SSH-2.0-x", "HTTP/1.1 abc d"}) {
    EXPECT_FALSE(parse_otlp_answer(none)) << none;
  }
  using internal::is_whole_answer;
  EXPECT_FALSE(is_whole_answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{"));
  EXPECT_TRUE(is_whole_answer("HTTP/1.1 200 OK\r\nCONTENT-length:2\r\n\r\n{}"));
  EXPECT_FALSE(is_whole_answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}"));
  EXPECT_TRUE(
      is_whole_answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"));
}

TEST(SpanSenders, are_made_as_the_environment_says) {
  for (const char* name : {"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL"}) {
    ::unsetenv(name);
  }
  auto none = SpanSender::from_environment();
  ASSERT_TRUE(none);
  EXPECT_EQ(*none, nullptr);
  Collector collector({Collector::answer("200 OK")});
  ::setenv("OTEL_EXPORTER_OTLP_ENDPOINT", (collector.url() + "/base/").c_str(), 1);
  ::setenv("OTEL_SERVICE_NAME", "from outside", 1);
  ::setenv("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20x , X-A=b", 1);
  auto sender = SpanSender::from_environment();
  ASSERT_TRUE(sender) << sender.error().to_string();
  (*sender)->spans().add(sampled_span());
  sender->reset();
  ASSERT_EQ(collector.requests().size(), 1u);
  EXPECT_THAT(collector.requests().front(), StartsWith("POST /base/v1/traces HTTP/1.1\r\n"));
  EXPECT_THAT(collector.requests().front(), HasSubstr("\r\nAuthorization: Bearer x\r\n"));
  EXPECT_THAT(collector.requests().front(), HasSubstr("from outside"));
  ::setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", 1);
  const auto other = SpanSender::from_environment();
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().kind(), ErrorKind::unsupported);
  for (const char* name : {"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL",
                           "OTEL_SERVICE_NAME", "OTEL_EXPORTER_OTLP_HEADERS"}) {
    ::unsetenv(name);
  }
  EXPECT_THAT(*internal::parse_otlp_headers("a=b,,c = d"),
              ElementsAre(Pair("a", "b"), Pair("c", "d")));
  EXPECT_FALSE(internal::parse_otlp_headers("a"));
}

}  // namespace
}  // namespace semper
