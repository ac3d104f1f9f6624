// Duplex streams, against a server that sends back what it gets.
#include "semper/rpc/duplex.h"

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include "semper/env/scheduler.h"

namespace semper::rpc {
namespace {

using namespace std::chrono_literals;

constexpr const char* kEnd = "end";    // the server ends in good order
constexpr const char* kFail = "fail";  // the server ends with an error

// Echoes each message before it reads the next one.
class Echo final : public grpc::ServerGenericBidiReactor {
 public:
  Echo() { StartRead(&message_); }
  void OnReadDone(bool ok) override {
    if (!ok) return finish(grpc::Status::OK);
    grpc::Slice text;
    if (!message_.DumpToSingleSlice(&text).ok()) return finish(grpc::Status::CANCELLED);
    const std::string_view words(reinterpret_cast<const char*>(text.begin()), text.size());
    if (words == kEnd) return finish(grpc::Status::OK);
    if (words == kFail) return finish({grpc::StatusCode::NOT_FOUND, "as asked"});
    StartWrite(&message_);
  }
  void OnWriteDone(bool ok) override {
    if (ok) StartRead(&message_);
  }
  void OnCancel() override { finish(grpc::Status::CANCELLED); }
  void OnDone() override { delete this; }

 private:
  void finish(const grpc::Status& status) {
    if (!finished_.exchange(true)) Finish(status);
  }
  grpc::ByteBuffer message_;
  std::atomic<bool> finished_ = false;
};

class EchoService final : public grpc::CallbackGenericService {
  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext*) override {
    return new Echo();
  }
};

class Duplex : public ::testing::Test {
 protected:
  Duplex() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterCallbackGenericService(&service);
    server = builder.BuildAndStart();
    ChannelOptions options;
    options.address = "127.0.0.1:" + std::to_string(port);
    auto connected = scheduler.block_on(connect(options));
    if (!connected) throw std::runtime_error(connected.error().to_string());
    channel.emplace(std::move(*connected));
  }
  ~Duplex() override {
    channel.reset();
    server->Shutdown(std::chrono::system_clock::now());
  }

  DuplexStream open() { return open_duplex(*channel, "/test.Echo/Duplex"); }
  Result<std::optional<Bytes>> next(DuplexStream& stream) {
    return scheduler.block_on(stream.next());
  }

  int port = 0;
  EchoService service;
  std::unique_ptr<grpc::Server> server;
  Scheduler scheduler;
  std::optional<Channel> channel;
};

TEST_F(Duplex, what_is_sent_comes_back_in_order_also_when_nobody_reads_meanwhile) {
  constexpr int kMessages = 1'000;
  auto stream = open();
  for (int i = 0; i < kMessages; ++i) ASSERT_TRUE(stream.send(std::to_string(i)));
  for (int i = 0; i < kMessages; ++i) {
    const auto message = next(stream);
    ASSERT_TRUE(message) << message.error().to_string();
    EXPECT_EQ(*message, std::to_string(i));
  }
}

TEST_F(Duplex, a_message_can_be_sent_while_one_is_waited_for) {
  auto stream = open();
  for (int i = 0; i < 50; ++i) {
    const std::string text = std::to_string(i);
    auto asked = std::async(std::launch::async, [&] { return next(stream); });
    EXPECT_TRUE(stream.send(text));
    EXPECT_EQ(*asked.get(), text);
  }
}

TEST_F(Duplex, the_end_in_good_order_is_nothing_and_an_error_is_an_error) {
  auto ending = open();
  ASSERT_TRUE(ending.send(kEnd));
  const auto end = next(ending);
  ASSERT_TRUE(end) << end.error().to_string();
  EXPECT_FALSE(end->has_value());
  EXPECT_EQ(ending.send("late").error().kind(), ErrorKind::closed);
  auto failing = open();
  ASSERT_TRUE(failing.send(kFail));
  const auto failed = next(failing);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind(), ErrorKind::not_found) << failed.error().to_string();
}

TEST_F(Duplex, cancelling_ends_a_wait) {
  auto stream = open();
  ASSERT_TRUE(stream.send("first"));
  EXPECT_TRUE(next(stream));
  auto waiting = std::async(std::launch::async, [&] { return next(stream); });
  stream.cancel();
  const auto cancelled = waiting.get();
  ASSERT_FALSE(cancelled);
  EXPECT_EQ(cancelled.error().kind(), ErrorKind::cancelled);
}

TEST_F(Duplex, a_duplex_that_is_dropped_in_the_middle_takes_nothing_with_it) {
  for (int i = 0; i < 20; ++i) {
    auto stream = open();
    ASSERT_TRUE(stream.send("dropped"));
    if (i % 2 == 0) {
      EXPECT_TRUE(next(stream));
    }
  }
  auto after = open();
  ASSERT_TRUE(after.send("still here"));
  EXPECT_EQ(*next(after), "still here");
}

TEST_F(Duplex, a_server_that_goes_away_ends_it_with_an_error) {
  auto stream = open();
  ASSERT_TRUE(stream.send("first"));
  EXPECT_TRUE(next(stream));
  server->Shutdown(std::chrono::system_clock::now());
  const auto lost = next(stream);
  ASSERT_FALSE(lost);
}

}  // namespace
}  // namespace semper::rpc
