#include "semper/rpc/call.h"

#include <grpcpp/generic/generic_stub.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <deque>
#include <mutex>

#include "rpc/grpc_support.h"
#include "semper/base/internal/mutant.h"
#include "semper/env/internal/has_waited.h"

namespace semper::rpc {
namespace {

bool is_metadata_key(const std::string& key) {
  const auto legal = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
  };
  return !key.empty() && std::all_of(key.begin(), key.end(), legal);
}

bool is_printable(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

struct UnaryCall {
  grpc::ClientContext context;
  grpc::ByteBuffer request;
  grpc::ByteBuffer response;
  OneShot<grpc::Status> done;
};

// Cancels a call whose coroutine is cancelled or destroyed; harmless after its end.
struct CancelCall {
  explicit CancelCall(std::shared_ptr<UnaryCall> of) : call(std::move(of)) {}
  CancelCall(const CancelCall&) = delete;
  CancelCall& operator=(const CancelCall&) = delete;
  ~CancelCall() { call->context.TryCancel(); }
  std::shared_ptr<UnaryCall> call;
};

// The process that used gRPC first, as its fork_generation() plus one.
constinit std::atomic<std::uint64_t> first_user{0};

bool is_first_user() {
  const std::uint64_t self = fork_generation() + 1;
  std::uint64_t present = 0;
  return first_user.compare_exchange_strong(present, self) || present == self;
}

// For its first use, where gRPC aborts the process if it finds fewer than four.
constexpr std::size_t kDescriptorsToBegin = 8;

Status check_descriptors() {
  std::array<int, kDescriptorsToBegin> opened{};
  int error = 0;
  for (int& one : opened) {
    one = ::eventfd(0, EFD_CLOEXEC);
    if (one < 0) error = errno;
  }
  for (const int one : opened) {
    if (one >= 0) ::close(one);
  }
  if (error == 0) return {};
  return fail(error_from_errno(
      error, "gRPC needs " + std::to_string(kDescriptorsToBegin) + " descriptors to begin with"));
}

}  // namespace

Status prepare(grpc::ClientContext& context, const std::string& method,
               const CallOptions& options) {
  if (!method.starts_with('/') || !is_printable(method)) {
    return fail(ErrorKind::invalid_argument,
                "a method is named /package.Service/Method, and not " + to_printable(method));
  }
  for (const auto& [key, value] : options.metadata) {
    if (!is_metadata_key(key)) {
      return fail(ErrorKind::invalid_argument,
                  "metadata \"" + to_printable(key) +
                      "\" cannot be sent: keys are of a-z, 0-9, '-', '_' and '.'");
    }
    if (!key.ends_with("-bin") && !is_printable(value)) {
      return fail(ErrorKind::invalid_argument,
                  "metadata \"" + key +
                      "\" cannot be sent: its value is not printable ASCII; "
                      "values of keys that end in -bin are any bytes");
    }
    context.AddMetadata(key, value);
  }
  if (options.deadline != kForever) context.set_deadline(grpc_time_after(options.deadline));
  return {};
}

Status begin_with_grpc() {
  if (!is_first_user()) {
    return fail(ErrorKind::unsupported,
                "gRPC was used before this process forked, and does not survive that; let the "
                "child exec a program, or use channels, servers (and etcd: stores) in children "
                "only");
  }
  static std::atomic<bool> has_begun = false;
  if (!has_begun) SEMPER_TRY_STATUS(check_descriptors());
  // A channel without credentials connects to nothing and fails each call at once; the first one
  // takes a reference to the threads. Neither is ever released.
  // Atomic, so that the compiler does not drop it, and leak checkers find the channel.
  static std::atomic<std::shared_ptr<grpc::Channel>*> kept = [] {
    auto* const channel = new std::shared_ptr<grpc::Channel>(
        grpc::CreateCustomChannel("none", nullptr, grpc::ChannelArguments()));
    auto call = std::make_shared<UnaryCall>();
    call->request = to_buffer(Bytes());
    grpc::GenericStub stub(*channel);
    stub.UnaryCall(&call->context, "/none/none", {}, &call->request, &call->response,
                   [call](const grpc::Status&) {});
    return channel;
  }();
  static_cast<void>(kept.load());
  has_begun = true;
  return {};
}

Status check_fork(const Channel& channel) {
  if (!ChannelAccess::fork(channel).is_foreign()) return {};
  return fail(ErrorKind::unsupported,
              "the channel to " + channel.address() +
                  " was opened before the process forked, which gRPC does not survive; let the "
                  "child exec a program, or use channels in children only");
}

Async<Bytes> call(Channel channel, std::string method, Bytes request, CallOptions options) {
  SEMPER_CO_TRY_STATUS(check_fork(channel));
  auto running = std::make_shared<UnaryCall>();
  SEMPER_CO_TRY_STATUS(prepare(running->context, method, options));
  running->request = to_buffer(request);
  grpc::GenericStub stub(ChannelAccess::native(channel));
  stub.UnaryCall(&running->context, method, {}, &running->request, &running->response,
                 [running](grpc::Status status) { running->done.set(std::move(status)); });
  const CancelCall cancel(running);
  auto status = co_await running->done.wait();
  if (!status) co_return fail(status.error().in(method));
  if (!status->ok()) {
    learn_from(*ChannelAccess::pings(channel), *status);
    co_return fail(error_from(*status, running->context, method));
  }
  co_return from_buffer(running->response);
}

// Invariants: at most one read is under way; while none is and the call goes on, a hold keeps the
// reactor alive; `self_` does so until OnDone, after which gRPC does not touch it.
struct MessageStream::Call final : grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
  Call(std::string of, std::size_t ahead)
      : method(std::move(of)), read_ahead(std::max<std::size_t>(ahead, 1)) {}

  // It never begins.
  void refuse(Error error) {
    held = false;
    outcome = fail(std::move(error));
  }

  void start(const Channel& channel, const Bytes& bytes, std::shared_ptr<Call> self) {
    self_ = std::move(self);
    pings_ = ChannelAccess::pings(channel);
    request = to_buffer(bytes);
    grpc::GenericStub stub(ChannelAccess::native(channel));
    stub.PrepareBidiStreamingCall(&context, method, {}, this);
    AddHold();
    StartWriteLast(&request, grpc::WriteOptions());
    reading = true;
    StartRead(&incoming);
    StartCall();
  }

  void OnReadDone(bool ok) override {
    std::optional<OneShot<std::monostate>> wake;
    bool read_on = false;
    bool release = false;
    {
      std::lock_guard lock(mutex);
      reading = false;
      if (!ok) {
        no_more = true;
        release = std::exchange(held, false);
      } else {
        messages.push_back(from_buffer(incoming));
        read_on = reading = !abandoned && messages.size() < read_ahead;
        wake = std::exchange(waiting, std::nullopt);
      }
    }
    if (read_on) StartRead(&incoming);
    if (release) RemoveHold();
    if (wake) wake->set({});
  }

  void OnDone(const grpc::Status& status) override {
    if (!status.ok()) learn_from(*pings_, status);
    std::optional<OneShot<std::monostate>> wake;
    std::shared_ptr<Call> last;  // released without the lock
    {
      std::lock_guard lock(mutex);
      if (status.ok()) {
        outcome = Status();
      } else {
        outcome = fail(error_from(status, context, method));
        lost = is_transport_failure(status, context);
      }
      wake = std::exchange(waiting, std::nullopt);
      last = std::move(self_);
    }
    if (wake) wake->set({});
  }

  // Nobody reads any more.
  void abandon() {
    if (fork.is_foreign()) return;
    context.TryCancel();
    bool release = false;
    {
      std::lock_guard lock(mutex);
      abandoned = true;
      messages.clear();
      release = std::exchange(held, false);
    }
    if (release) RemoveHold();
  }

  // Takes nothing for a reader that was cancelled, as Asio would drop it (stream_driver.h).
  static Async<std::optional<Bytes>> next(std::shared_ptr<Call> self) {
    SEMPER_CO_TRY_STATUS(self->fork.check("the call of " + self->method));
    while (true) {
      if (!co_await semper::internal::HasWaited()) co_await yield_now();
      const auto cancellation = co_await asio::this_coro::cancellation_state;
      if (cancellation.cancelled() != asio::cancellation_type::none &&
          !SEMPER_MUTANT("rpc_cancelled_reader_takes_a_message")) {
        co_return fail(ErrorKind::cancelled, self->method + ": the reader was cancelled");
      }
      OneShot<std::monostate> arrived;
      {
        std::unique_lock lock(self->mutex);
        if (!self->messages.empty()) {
          std::optional<Bytes> message(std::move(self->messages.front()));
          self->messages.pop_front();
          // Half of it free: then several reads follow one another without this side.
          const bool read = !self->reading && !self->no_more && !self->abandoned &&
                            self->messages.size() <= self->read_ahead / 2;
          if (read) {
            self->reading = true;
            self->AddHold();  // gRPC may end the call meanwhile
          }
          lock.unlock();
          if (read) {
            self->StartRead(&self->incoming);
            self->RemoveHold();
          }
          co_return message;
        }
        if (self->outcome) {
          if (!*self->outcome) co_return fail(self->outcome->error());
          co_return std::nullopt;
        }
        self->waiting = arrived;
      }
      auto woken = co_await arrived.wait();
      if (!woken) co_return fail(woken.error());
    }
  }

  void cancel() {
    if (!fork.is_foreign()) context.TryCancel();
  }

  const ForkGuard fork{};
  const std::string method;
  const std::size_t read_ahead;
  grpc::ClientContext context;
  grpc::ByteBuffer request;
  grpc::ByteBuffer incoming;

  std::mutex mutex;
  std::deque<Bytes> messages;
  std::optional<OneShot<std::monostate>> waiting;
  std::optional<Status> outcome;
  bool lost = false;  // the outcome is the connection's, or this side's
  bool reading = false;
  bool no_more = false;
  bool abandoned = false;
  bool held = true;

 private:
  std::shared_ptr<Call> self_;
  std::shared_ptr<const Pings> pings_;
};

MessageStream::~MessageStream() {
  if (call_) call_->abandon();
}

MessageStream& MessageStream::operator=(MessageStream&& other) noexcept {
  if (this != &other) {
    if (call_) call_->abandon();
    call_ = std::move(other.call_);
  }
  return *this;
}

Async<std::optional<Bytes>> MessageStream::next() {
  return Call::next(call_);
}

void MessageStream::cancel() {
  call_->cancel();
}

bool MessageStream::was_lost() const {
  std::lock_guard lock(call_->mutex);
  return call_->lost;
}

MessageStream open_stream(const Channel& channel, const std::string& method, Bytes request,
                          const CallOptions& options) {
  auto call = std::make_shared<MessageStream::Call>(method, options.read_ahead);
  Status fit = check_fork(channel);
  if (fit) fit = prepare(call->context, method, options);
  if (!fit) {
    call->refuse(std::move(fit.error()));
  } else {
    call->start(channel, request, call);
  }
  return MessageStream(std::move(call));
}

}  // namespace semper::rpc
