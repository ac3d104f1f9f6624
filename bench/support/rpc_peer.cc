#include "rpc_peer.h"

#include <fcntl.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/support/byte_buffer.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <mutex>
#include <thread>

#include "semper/base/codec.h"
#include "semper/env/one_shot.h"
#include "semper/rpc/frame.h"

extern char** environ;  // NOLINT: POSIX

namespace semper::bench::rpc_peer {
namespace {

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "bench_rpc: %s\n", why.c_str());
  std::exit(1);
}

grpc::ByteBuffer to_buffer(const Bytes& bytes) {
  const grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

Bytes to_bytes(const grpc::ByteBuffer& buffer) {
  grpc::Slice slice;
  if (!buffer.DumpToSingleSlice(&slice).ok()) return {};
  return Bytes(reinterpret_cast<const char*>(slice.begin()), slice.size());
}

Bytes first_frame() {
  rpc::StreamFrame frame;
  frame.begin = rpc::StreamFrame::Begin::fresh;
  return rpc::encode_frame(frame);
}

// With a token of the size that publishers send.
Bytes update_frame(std::int64_t number) {
  rpc::StreamFrame frame;
  Bytes update;
  append_little_endian_u64(update, static_cast<std::uint64_t>(number));
  update.resize(kPayloadBytes, 'x');
  frame.updates.push_back(encode(ByteString{std::move(update)}));
  frame.resume_token = Bytes(16, 't');
  return rpc::encode_frame(frame);
}

// True for the first frame of a stream.
template <class F>
bool for_each_update(const grpc::ByteBuffer& message, F&& f) {
  const auto frame = rpc::decode_frame(to_bytes(message));
  if (!frame) give_up(frame.error().to_string());
  for (const auto& bytes : frame->updates) {
    auto update = decode<ByteString>(bytes);
    if (!update) give_up(update.error().to_string());
    f(std::move(*update));
  }
  return frame->begin != rpc::StreamFrame::Begin::no;
}

class Writer final : public grpc::ServerGenericBidiReactor {
 public:
  explicit Writer(std::string method) : method_(std::move(method)) { StartRead(&incoming_); }

  void OnReadDone(bool ok) override {
    if (!ok) return end();
    rpc::StreamRequest request;
    if (auto decoded = rpc::decode_request(to_bytes(incoming_))) request = std::move(*decoded);
    left_ = std::atoll(request.request.c_str());
    fixed_ = to_buffer(update_frame(0));
    outgoing_ = to_buffer(first_frame());
    StartWrite(&outgoing_);
    if (method_ == kPaced) pacer_ = std::thread([this] { pace(); });
  }

  void OnWriteDone(bool ok) override {
    if (method_ == kPaced) {
      std::lock_guard lock(mutex_);
      writing_ = false;
      if (!ok) over_ = true;
      written_.notify_one();
      return;
    }
    if (!ok) return end();
    if (method_ != kFlood) return;
    if (left_-- <= 0) return end();
    outgoing_ = fixed_;
    StartWrite(&outgoing_);
  }

  void OnCancel() override {
    {
      std::lock_guard lock(mutex_);
      over_ = true;
      written_.notify_one();
    }
    if (method_ != kPaced) end();
  }
  void OnDone() override {
    if (pacer_.joinable()) pacer_.detach();
    delete this;
  }

 private:
  void end() {
    if (!ended_.exchange(true)) Finish(grpc::Status::OK);
  }

  void pace() {
    for (;;) {
      {
        std::unique_lock lock(mutex_);
        written_.wait(lock, [&] { return !writing_ || over_; });
        if (over_) break;
        writing_ = true;
      }
      std::this_thread::sleep_for(std::chrono::microseconds(kPaceMicroseconds));
      outgoing_ = to_buffer(update_frame(clock_ns()));
      StartWrite(&outgoing_);
    }
    end();
  }

  const std::string method_;
  grpc::ByteBuffer incoming_;
  grpc::ByteBuffer outgoing_;
  grpc::ByteBuffer fixed_;
  long long left_ = 0;
  std::atomic<bool> ended_ = false;
  std::thread pacer_;
  std::mutex mutex_;
  std::condition_variable written_;
  bool writing_ = true;
  bool over_ = false;
};

class Service final : public grpc::CallbackGenericService {
  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override {
    return new Writer(context->method());
  }
};

}  // namespace

std::int64_t clock_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

std::int64_t sent_ns(BytesView update) {
  return static_cast<std::int64_t>(load_little_endian_u64(update));
}

int serve(int port) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  Service service;
  grpc::ServerBuilder builder;
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, 1 << 20);
  int bound = 0;
  builder.AddListeningPort("127.0.0.1:" + std::to_string(port), grpc::InsecureServerCredentials(),
                           &bound);
  builder.RegisterCallbackGenericService(&service);
  auto server = builder.BuildAndStart();
  if (!server || bound == 0) give_up("the server cannot listen on port " + std::to_string(port));
  std::printf("%d %lld\n", bound, static_cast<long long>(clock_ns()));
  std::fflush(stdout);
  server->Wait();
  return 0;
}

Child::Child(const std::vector<std::string>& arguments) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) give_up("no pipe");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  std::vector<char*> argv;
  static char self[] = "/proc/self/exe";
  argv.push_back(self);
  for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  if (posix_spawn(&process_, self, &actions, nullptr, argv.data(), environ) != 0) {
    give_up("the program could not be started again");
  }
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  output_ = ends[0];
}

Child::~Child() {
  kill();
  close(output_);
}

void Child::kill() {
  if (process_ == 0) return;
  ::kill(process_, SIGKILL);
  waitpid(process_, nullptr, 0);
  process_ = 0;
}

std::string Child::read_line() {
  std::string line;
  char c = 0;
  while (::read(output_, &c, 1) == 1 && c != '\n') line.push_back(c);
  return line;
}

Peer::Peer(int port) : child_({"--role", "serve", "--port", std::to_string(port)}) {
  long long since = 0;
  if (std::sscanf(child_.read_line().c_str(), "%d %lld", &port_, &since) != 2) {
    give_up("the server did not start");
  }
  since_ = since;
}

std::shared_ptr<grpc::Channel> bare_channel(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  auto channel = grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
  if (!channel->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(10))) {
    give_up("the server does not answer");
  }
  return channel;
}

struct BareStream::Call final : grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
  void OnReadDone(bool ok) override {
    if (!ok) return;
    const bool begins =
        for_each_update(incoming, [&](const ByteString& update) { on_update(update.bytes); });
    if (begins) {
      std::lock_guard lock(mutex);
      begun = true;
      changed.notify_all();
    }
    StartRead(&incoming);
  }
  void OnDone(const grpc::Status&) override {
    std::lock_guard lock(mutex);
    done = true;
    changed.notify_all();
  }

  grpc::ClientContext context;
  grpc::ByteBuffer request;
  grpc::ByteBuffer incoming;
  std::function<void(BytesView)> on_update;
  std::mutex mutex;
  std::condition_variable changed;
  bool begun = false;
  bool done = false;
};

BareStream::BareStream(const std::shared_ptr<grpc::Channel>& channel, const char* method,
                       Bytes request, std::function<void(BytesView)> on_update)
    : call_(std::make_shared<Call>()) {
  call_->on_update = std::move(on_update);
  rpc::StreamRequest asked;
  asked.request = std::move(request);
  call_->request = to_buffer(rpc::encode_request(asked));
  grpc::GenericStub(channel).PrepareBidiStreamingCall(&call_->context, method, {}, call_.get());
  call_->StartWriteLast(&call_->request, grpc::WriteOptions());
  call_->StartRead(&call_->incoming);
  call_->StartCall();
}

BareStream::BareStream(BareStream&&) noexcept = default;

BareStream::~BareStream() {
  if (!call_) return;
  call_->context.TryCancel();
  wait_for_end();
}

void BareStream::wait_for_begin() {
  std::unique_lock lock(call_->mutex);
  call_->changed.wait(lock, [&] { return call_->begun || call_->done; });
}

void BareStream::wait_for_end() {
  std::unique_lock lock(call_->mutex);
  call_->changed.wait(lock, [&] { return call_->done; });
}

// One read at a time: begun when the coroutine asks, or ahead of it while it works.
struct BareCoroutineStream::Call final
    : grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
  void OnReadDone(bool ok) override {
    std::unique_lock lock(mutex);
    if (!ok) {
      no_more = true;
    } else {
      for_each_update(incoming,
                      [&](ByteString update) { updates.push_back(std::move(update.bytes)); });
      reading = updates.size() < kReadAhead;
    }
    const bool read_on = ok && reading;
    auto wake = no_more || !updates.empty() ? std::exchange(waiting, std::nullopt) : std::nullopt;
    lock.unlock();
    if (read_on) StartRead(&incoming);
    if (!ok) RemoveHold();
    if (wake) wake->set({});
  }
  void OnDone(const grpc::Status&) override { done.set({}); }

  static constexpr std::size_t kReadAhead = 64;
  grpc::ClientContext context;
  grpc::ByteBuffer request;
  grpc::ByteBuffer incoming;
  std::mutex mutex;
  std::deque<Bytes> updates;
  std::optional<OneShot<std::monostate>> waiting;
  OneShot<std::monostate> done;
  bool reading = true;
  bool no_more = false;
};

BareCoroutineStream::BareCoroutineStream(const std::shared_ptr<grpc::Channel>& channel,
                                         const char* method, Bytes request)
    : call_(std::make_shared<Call>()) {
  rpc::StreamRequest asked;
  asked.request = std::move(request);
  call_->request = to_buffer(rpc::encode_request(asked));
  grpc::GenericStub(channel).PrepareBidiStreamingCall(&call_->context, method, {}, call_.get());
  call_->AddHold();
  call_->StartWriteLast(&call_->request, grpc::WriteOptions());
  call_->StartRead(&call_->incoming);
  call_->StartCall();
}

BareCoroutineStream::~BareCoroutineStream() {
  call_->context.TryCancel();
  bool reading = false;
  {
    std::lock_guard lock(call_->mutex);
    reading = call_->reading || call_->no_more;
  }
  if (!reading) call_->RemoveHold();
  while (!call_->done.is_set()) std::this_thread::yield();
}

Task<Bytes> BareCoroutineStream::next() {
  auto call = call_;
  while (true) {
    OneShot<std::monostate> arrived;
    {
      std::unique_lock lock(call->mutex);
      if (!call->updates.empty()) {
        Bytes update = std::move(call->updates.front());
        call->updates.pop_front();
        const bool read =
            !call->reading && !call->no_more && call->updates.size() <= Call::kReadAhead / 2;
        if (read) call->reading = true;
        lock.unlock();
        if (read) call->StartRead(&call->incoming);
        co_return update;
      }
      if (call->no_more) co_return Bytes();
      call->waiting = arrived;
    }
    static_cast<void>(co_await arrived.wait());
  }
}

}  // namespace semper::bench::rpc_peer
