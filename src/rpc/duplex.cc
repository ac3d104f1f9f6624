#include "semper/rpc/duplex.h"

#include <grpcpp/generic/generic_stub.h>

#include <deque>
#include <mutex>

#include "rpc/grpc_support.h"
#include "semper/env/internal/has_waited.h"

namespace semper::rpc {

// Invariants: at most one read and one write are under way; a hold keeps the reactor alive until
// the reads have ended or nobody is interested any more, and no operation is started after that;
// `self_` does so until OnDone, after which gRPC does not touch it.
struct DuplexStream::Call final : grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
  Call(std::string of, std::size_t ahead)
      : method(std::move(of)), read_ahead(std::max<std::size_t>(ahead, 1)) {}

  // It never begins.
  void refuse(Error error) {
    held = false;
    outcome = fail(std::move(error));
  }

  void start(const Channel& channel, std::shared_ptr<Call> self) {
    self_ = std::move(self);
    pings_ = ChannelAccess::pings(channel);
    grpc::GenericStub stub(ChannelAccess::native(channel));
    stub.PrepareBidiStreamingCall(&context, method, {}, this);
    AddHold();
    reading = true;
    StartRead(&incoming);
    StartCall();
  }

  Status send(const Bytes& message) {
    SEMPER_TRY_STATUS(fork.check("the call of " + method));
    {
      std::lock_guard lock(mutex);
      if (!held) return fail(ErrorKind::closed, method + ": the call has ended");
      if (outgoing.size() >= kDuplexQueueMaximum) {
        return fail(
            ErrorKind::retry, Limit{"kDuplexQueueMaximum", kDuplexQueueMaximum},
            method + ": " + std::to_string(outgoing.size()) + " messages wait to be sent already");
      }
      outgoing.push_back(to_buffer(message));
      if (std::exchange(writing, true)) return {};
      AddHold();  // the other one may be released before the write has begun
    }
    StartWrite(&outgoing.front());
    RemoveHold();
    return {};
  }

  void OnWriteDone(bool ok) override {
    bool write_on = false;
    {
      std::lock_guard lock(mutex);
      outgoing.pop_front();
      write_on = writing = ok && held && !outgoing.empty();
    }
    if (write_on) StartWrite(&outgoing.front());
  }

  void OnReadDone(bool ok) override {
    std::optional<OneShot<std::monostate>> wake;
    bool read_on = false;
    bool release = false;
    {
      std::lock_guard lock(mutex);
      reading = false;
      if (!ok) {
        release = std::exchange(held, false);
      } else {
        messages.push_back(from_buffer(incoming));
        read_on = reading = held && messages.size() < read_ahead;
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
      }
      wake = std::exchange(waiting, std::nullopt);
      last = std::move(self_);
    }
    if (wake) wake->set({});
  }

  // Nobody is interested any more.
  void abandon() {
    if (fork.is_foreign()) return;
    context.TryCancel();
    bool release = false;
    {
      std::lock_guard lock(mutex);
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
      if (cancellation.cancelled() != asio::cancellation_type::none) {
        co_return fail(ErrorKind::cancelled, self->method + ": the reader was cancelled");
      }
      OneShot<std::monostate> arrived;
      {
        std::unique_lock lock(self->mutex);
        if (!self->messages.empty()) {
          std::optional<Bytes> message(std::move(self->messages.front()));
          self->messages.pop_front();
          const bool read =
              !self->reading && self->held && self->messages.size() <= self->read_ahead / 2;
          if (read) {
            self->reading = true;
            self->AddHold();
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
  grpc::ByteBuffer incoming;

  std::mutex mutex;
  std::deque<grpc::ByteBuffer> outgoing;  // the first is being written while `writing`
  std::deque<Bytes> messages;
  std::optional<OneShot<std::monostate>> waiting;
  std::optional<Status> outcome;
  bool reading = false;
  bool writing = false;
  bool held = true;

 private:
  std::shared_ptr<Call> self_;
  std::shared_ptr<const Pings> pings_;
};

DuplexStream::~DuplexStream() {
  if (call_) call_->abandon();
}

DuplexStream& DuplexStream::operator=(DuplexStream&& other) noexcept {
  if (this != &other) {
    if (call_) call_->abandon();
    call_ = std::move(other.call_);
  }
  return *this;
}

Status DuplexStream::send(Bytes message) {
  return call_->send(message);
}

Async<std::optional<Bytes>> DuplexStream::next() {
  return Call::next(call_);
}

void DuplexStream::cancel() {
  call_->cancel();
}

DuplexStream open_duplex(const Channel& channel, const std::string& method,
                         const CallOptions& options) {
  auto call = std::make_shared<DuplexStream::Call>(method, options.read_ahead);
  Status fit = check_fork(channel);
  if (fit) fit = prepare(call->context, method, options);
  if (!fit) {
    call->refuse(std::move(fit.error()));
  } else {
    call->start(channel, call);
  }
  return DuplexStream(std::move(call));
}

}  // namespace semper::rpc
