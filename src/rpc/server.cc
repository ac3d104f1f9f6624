#include "semper/rpc/server.h"

#include <grpcpp/generic/async_generic_service.h>

#include <climits>
#include <mutex>
#include <utility>

#include "rpc/grpc_support.h"
#include "rpc/refusals.h"
#include "rpc/server_calls.h"
#include "semper/base/assert.h"
#include "semper/base/internal/thrown.h"
#include "semper/env/internal/cancellable.h"
#include "semper/env/serial.h"

namespace semper::rpc {
namespace {

constexpr char kHealthCheck[] = "/grpc.health.v1.Health/Check";
// Of an error's message. It travels in headers, three bytes for each that is not ASCII, and a
// caller takes 8 KiB of those: past that it would see another error.
constexpr std::size_t kStatusMessageBytes = 2'048;

grpc::Status to_status(const Error& error) {
  std::string message = error.message();
  if (message.size() > kStatusMessageBytes) {
    message.resize(kStatusMessageBytes);
    message += " ... (cut)";
  }
  return grpc::Status(static_cast<grpc::StatusCode>(status_from_kind(error.kind())), message);
}

CallInfo info_of(grpc::GenericCallbackServerContext& context) {
  CallInfo info;
  info.method = context.method();
  info.peer = context.peer();
  for (const auto& [key, value] : context.client_metadata()) {
    info.metadata.emplace(std::string(key.data(), key.size()),
                          std::string(value.data(), value.size()));
  }
  return info;
}

// "/package.Service/Method" -> "package.Service"
std::string service_of(const std::string& method) {
  return method.substr(1, method.rfind('/') - 1);
}

Result<Bytes> answer_health(const ServerCalls& shared, const Bytes& request) {
  std::string service;
  if (!request.empty()) {
    // HealthCheckRequest { string service = 1; }, which is the first field of ours too.
    SEMPER_TRY(auto decoded, decode_request(request));
    service = std::move(decoded.request);
  }
  if (!service.empty() && !shared.services.contains(service)) {
    return fail(ErrorKind::not_found, "no service of the name '" + service + "'");
  }
  constexpr char kServing = 1;
  constexpr char kNotServing = 2;
  return Bytes{'\x08', shared.serving ? kServing : kNotServing};
}

}  // namespace

// One call, from its arrival to OnDone. Invariants: Finish is called once, when no write is under
// way; at most one write is; the context is used before Finish only.
struct StreamWriter::Call final : grpc::ServerGenericBidiReactor {
  using Place = std::shared_ptr<CallPlace>;

  Call(grpc::GenericCallbackServerContext& context, const std::shared_ptr<ServerCalls>& shared)
      : context_(&context),
        executor_(shared->executor),
        place_(std::make_shared<CallPlace>(shared)),
        task_(std::make_shared<Cancellable>()) {}

  using Run = std::function<Task<void>(Place, std::shared_ptr<Call>, Bytes)>;
  using Cancellable = semper::internal::Cancellable;

  void start(std::shared_ptr<Call> self, Run run) {
    self_ = std::move(self);
    run_ = std::move(run);
    StartRead(&incoming_);
  }
  void refuse(std::shared_ptr<Call> self, const Error& error) {
    self_ = std::move(self);
    finish(fail(error));
  }

  void OnReadDone(bool ok) override {
    if (!ok) return finish(fail(ErrorKind::invalid_argument, "the call came without a request"));
    auto self = self_;
    if (!self) return;
    const auto strand = serial_executor(executor_);
    // Gives its threads back at once, also where they run the executor. The place is kept longest:
    // it says that nothing of the handler is left.
    Begin begin{place_, self, std::move(run_), from_buffer(incoming_)};
    asio::post(strand, [strand, begin = std::move(begin)]() mutable {
      auto work = begin.run(std::move(begin.place), begin.self, std::move(begin.request));
      begin.run = nullptr;
      Cancellable::start(begin.self->task_, strand, std::move(work));
    });
  }

  void OnWriteDone(bool ok) override {
    std::optional<OneShot<bool>> written;
    std::optional<Status> end;
    {
      std::lock_guard lock(mutex_);
      writing_ = false;
      broken_ = broken_ || !ok;
      written = std::exchange(waiting_, std::nullopt);
      end = std::exchange(end_after_write_, std::nullopt);
    }
    if (end) finish(*end);
    if (written) written->set(ok);
  }

  void OnCancel() override {
    Cancellable::cancel(task_);
    finish(fail(ErrorKind::cancelled, "the caller has cancelled or gone, or its deadline passed"));
  }

  void OnDone() override {
    auto last = std::move(self_);
    Cancellable::cancel(task_);
    run_ = nullptr;
    place_.reset();
  }

  // The first one counts.
  void finish(Status status) {
    {
      std::lock_guard lock(mutex_);
      if (finished_) return;
      if (writing_) {
        if (!end_after_write_) end_after_write_ = std::move(status);
        return;
      }
      finished_ = true;
    }
    if (status) return Finish(grpc::Status::OK);
    const std::string kind(to_string(status.error().kind()));
    context_->AddTrailingMetadata(kErrorKindKey, kind);
    Finish(to_status(status.error()));
  }

  // The only message of a unary call, and its end.
  void answer(const Bytes& message) {
    {
      std::lock_guard lock(mutex_);
      if (finished_ || writing_) return;
      finished_ = true;
      outgoing_ = to_buffer(message);
    }
    StartWriteAndFinish(&outgoing_, grpc::WriteOptions(), grpc::Status::OK);
  }

  // One that was cancelled goes on: the next one first waits for its end.
  static Async<void> write(std::shared_ptr<Call> self, Bytes message) {
    for (bool begun = false; !begun;) {
      OneShot<bool> written;
      {
        std::lock_guard lock(self->mutex_);
        SEMPER_ASSERT(!self->waiting_, "one write at a time");
        if (self->finished_ || self->broken_) {
          co_return fail(ErrorKind::closed, "the caller has gone");
        }
        self->waiting_ = written;
        begun = !std::exchange(self->writing_, true);
        if (begun) self->outgoing_ = to_buffer(message);
      }
      const NobodyWaits leave(*self);
      if (begun) self->StartWrite(&self->outgoing_);
      auto done = co_await written.wait();
      if (!done) co_return fail(done.error());
      if (!*done) co_return fail(ErrorKind::closed, "the caller has gone");
    }
    co_return Status();
  }

 private:
  // However the wait of a writer ends, its coroutine destroyed included.
  struct NobodyWaits {
    explicit NobodyWaits(Call& of) : call(of) {}
    NobodyWaits(const NobodyWaits&) = delete;
    NobodyWaits& operator=(const NobodyWaits&) = delete;
    ~NobodyWaits() {
      std::lock_guard lock(call.mutex_);
      call.waiting_.reset();
    }
    Call& call;
  };
  struct Begin {
    Place place;
    std::shared_ptr<Call> self;
    Run run;
    Bytes request;
  };

  grpc::GenericCallbackServerContext* const context_;
  const Executor executor_;
  Place place_;  // until OnDone
  const std::shared_ptr<Cancellable> task_;
  std::shared_ptr<Call> self_;
  Run run_;
  grpc::ByteBuffer incoming_;
  grpc::ByteBuffer outgoing_;

  std::mutex mutex_;
  std::optional<OneShot<bool>> waiting_;
  std::optional<Status> end_after_write_;
  bool writing_ = false;
  bool finished_ = false;
  bool broken_ = false;
};

namespace {

// The call ends however its handler does: also where the executor is destroyed under it.
struct EndCall {
  explicit EndCall(std::shared_ptr<StreamWriter::Call> of) : call(std::move(of)) {}
  EndCall(const EndCall&) = delete;
  EndCall& operator=(const EndCall&) = delete;
  ~EndCall() { call->finish(fail(ErrorKind::closed, "the handler was ended by the server")); }
  std::shared_ptr<StreamWriter::Call> call;
};

// What a handler runs on; what is first goes last.
template <class Handler>
struct Running {
  std::shared_ptr<CallPlace> place;
  Handler handler;
  std::shared_ptr<StreamWriter::Call> call;
};

Task<void> run_unary(Running<Methods::Unary> on, CallInfo info, Bytes request) {
  const auto& call = on.call;
  const EndCall end(call);
  std::string thrown;
  try {
    auto answer = co_await on.handler(std::move(info), std::move(request));
    if (answer) {
      call->answer(*answer);
    } else {
      call->finish(fail(answer.error()));
    }
    co_return;
  } catch (const std::exception& caught) {
    thrown = internal::text_of(caught);
  } catch (...) {
    thrown = "something that is no std::exception";
  }
  call->finish(fail(ErrorKind::internal, "the handler threw: " + thrown));
}

Task<void> run_streaming(Running<Methods::Streaming> on, CallInfo info, Bytes request) {
  const auto& call = on.call;
  const EndCall end(call);
  std::string thrown;
  try {
    StreamWriter writer(call);
    call->finish(co_await on.handler(std::move(info), std::move(request), std::move(writer)));
    co_return;
  } catch (const std::exception& caught) {
    thrown = internal::text_of(caught);
  } catch (...) {
    thrown = "something that is no std::exception";
  }
  call->finish(fail(ErrorKind::internal, "the handler threw: " + thrown));
}

}  // namespace

std::string CallInfo::authorization() const {
  const auto found = metadata.find("authorization");
  return found == metadata.end() ? std::string() : found->second;
}

Async<void> StreamWriter::write(Bytes message) {
  return Call::write(call_, std::move(message));
}

Methods& Methods::unary(const std::string& name, Unary handler) {
  SEMPER_ASSERT(name.size() > 1 && name[0] == '/', "a method is named /package.Service/Method");
  const bool added = handlers_.emplace(name, Handler{std::move(handler), nullptr}).second;
  SEMPER_ASSERT(added, "each method has one handler");
  return *this;
}

Methods& Methods::streaming(const std::string& name, Streaming handler) {
  SEMPER_ASSERT(name.size() > 1 && name[0] == '/', "a method is named /package.Service/Method");
  const bool added = handlers_.emplace(name, Handler{nullptr, std::move(handler)}).second;
  SEMPER_ASSERT(added, "each method has one handler");
  return *this;
}

struct Server::Impl final : grpc::CallbackGenericService {
  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override {
    auto call = std::make_shared<StreamWriter::Call>(*context, shared);
    auto* const reactor = call.get();
    CallInfo info = info_of(*context);
    if (shared->count() > shared->max_calls) {
      call->refuse(call, Error(ErrorKind::exhausted, Limit{"max_calls", shared->max_calls},
                               "the server has " + std::to_string(shared->max_calls) +
                                   " calls under way already, handlers whose caller has gone "
                                   "included (ServerOptions::max_calls)"));
      return reactor;
    }
    if (info.method == kHealthCheck) {
      const Methods::Unary health = [with = shared](CallInfo, Bytes request) {
        return health_of(with, std::move(request));
      };
      begin(call, health, nullptr, std::move(info));
      return reactor;
    }
    if (const auto allowed = authorized(info); !allowed) {
      call->refuse(call, allowed.error());
      return reactor;
    }
    const auto found = methods.handlers_.find(info.method);
    if (found == methods.handlers_.end()) {
      call->refuse(call, Error(ErrorKind::unsupported, "no method " + info.method));
      return reactor;
    }
    begin(call, found->second.unary, found->second.streaming, std::move(info));
    return reactor;
  }

  Status authorized(const CallInfo& info) const {
    if (!shared->authorize) return Status();
    try {
      return shared->authorize(info);
    } catch (const std::exception& thrown) {
      return fail(ErrorKind::permission,
                  std::string("the function that authorizes threw: ") + internal::text_of(thrown));
    } catch (...) {
      return fail(ErrorKind::permission, "the function that authorizes threw no std::exception");
    }
  }

  static Async<Bytes> health_of(std::shared_ptr<ServerCalls> with, Bytes request) {
    co_return answer_health(*with, request);
  }

  static void begin(const std::shared_ptr<StreamWriter::Call>& call, const Methods::Unary& unary,
                    const Methods::Streaming& streaming, CallInfo info) {
    call->start(call, [unary, streaming, info = std::move(info)](
                          std::shared_ptr<CallPlace> place, std::shared_ptr<StreamWriter::Call> on,
                          Bytes request) {
      place->begin(info.method);
      if (unary) {
        Running<Methods::Unary> running{std::move(place), unary, std::move(on)};
        return run_unary(std::move(running), info, std::move(request));
      }
      Running<Methods::Streaming> running{std::move(place), streaming, std::move(on)};
      return run_streaming(std::move(running), info, std::move(request));
    });
  }

  void shut_down(Duration grace) {
    server->Shutdown(grpc_time_after(grace));
    server->Wait();
    shared->wait_for_handlers();
  }

  const ForkGuard fork{};
  Methods methods;
  std::shared_ptr<ServerCalls> shared = std::make_shared<ServerCalls>();
  std::unique_ptr<grpc::Server> server;
  int port = 0;
};

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::Server(Server&&) noexcept = default;

Server& Server::operator=(Server&& other) noexcept {
  if (this != &other) end(std::exchange(impl_, std::move(other.impl_)));
  return *this;
}

Server::~Server() {
  end(std::move(impl_));
}

void Server::end(std::unique_ptr<Impl> impl) {
  if (!impl) return;
  if (impl->fork.is_foreign()) {
    static_cast<void>(impl.release());  // its sockets are the parent's too
    return;
  }
  impl->shut_down(Duration::zero());
}

namespace {

// gRPC says only that it does not listen; where it cannot with these credentials on any port, they
// are why.
bool can_serve_with(const std::shared_ptr<grpc::ServerCredentials>& credentials) {
  grpc::CallbackGenericService nothing;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", credentials, &port);
  builder.RegisterCallbackGenericService(&nothing);
  const auto server = builder.BuildAndStart();
  return server && port != 0;
}

}  // namespace

Result<Server> Server::start(const Methods& methods, ServerOptions options) {
  if (!options.executor) return fail(ErrorKind::invalid_argument, "a server needs an executor");
  const auto& given = options.credentials;
  if (given.certificate.empty() != given.private_key.empty() ||
      (given.certificate.empty() && !given.client_roots.empty())) {
    return fail(ErrorKind::invalid_argument,
                "a server's certificate and private key go together, and mutual TLS needs both");
  }
  SEMPER_TRY_STATUS(check_address(options.address, AddressUse::listen));
  const SocketTurn turn(options.address);  // until it listens
  SEMPER_TRY_STATUS(check_socket_is_free(options.address));
  SEMPER_TRY_STATUS(begin_with_grpc());
  auto impl = std::make_unique<Impl>();
  impl->methods = methods;
  impl->shared->executor = options.executor;
  impl->shared->authorize = std::move(options.authorize);
  impl->shared->max_calls = options.max_calls;
  for (const auto& [name, handler] : methods.handlers_) {
    impl->shared->services.insert(service_of(name));
    impl->shared->running[name] = 0;
  }
  auto credentials = grpc::InsecureServerCredentials();
  if (!given.certificate.empty()) {
    grpc::SslServerCredentialsOptions tls(
        given.client_roots.empty() ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                                   : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
    tls.pem_root_certs = given.client_roots;
    tls.pem_key_cert_pairs.push_back({given.private_key, given.certificate});
    credentials = grpc::SslServerCredentials(tls);
  }
  grpc::ServerBuilder builder;
  // Without it two servers could share a port, each getting some of the calls.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             milliseconds(options.min_keepalive));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  if (options.keepalive != kForever) {
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, milliseconds(options.keepalive));
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                               milliseconds(options.keepalive_timeout));
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  }
  builder.SetMaxReceiveMessageSize(
      static_cast<int>(std::min<std::size_t>(options.max_message_bytes, INT_MAX)));
  builder.AddListeningPort(options.address, credentials, &impl->port);
  builder.RegisterCallbackGenericService(impl.get());
  impl->server = builder.BuildAndStart();
  if (!impl->server || impl->port == 0) {
    if (!can_serve_with(credentials) && can_serve_with(grpc::InsecureServerCredentials())) {
      return fail(ErrorKind::invalid_argument,
                  "gRPC cannot use the server's TLS credentials: the certificate, key or "
                  "authorities are not PEM, or the key is not that of the certificate");
    }
    std::string why = why_not_listen(options.address);
    if (why.empty()) why = "gRPC does not say why; it logs it on standard error";
    return fail(ErrorKind::io, "cannot listen on " + options.address + ": " + why);
  }
  return Server(std::move(impl));
}

std::uint16_t Server::port() const {
  return static_cast<std::uint16_t>(impl_->port);
}

void Server::set_serving(bool serving) {
  impl_->shared->serving = serving;
}

void Server::shutdown(Duration grace) {
  if (!impl_->fork.is_foreign()) impl_->shut_down(grace);
}

std::size_t Server::calls() const {
  return impl_->shared->count();
}

}  // namespace semper::rpc
