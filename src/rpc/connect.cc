// How a channel comes to be, and what its handle does: channel.h. A connection is tried by a call,
// so this lies above call.h, and the type of a channel below it.
#include <grpcpp/generic/generic_stub.h>

#include <atomic>
#include <climits>
#include <thread>

#include "rpc/addresses.h"
#include "rpc/grpc_support.h"
#include "rpc/http_proxy.h"
#include "rpc/refusals.h"
#include "semper/base/internal/mutant.h"
#include "semper/base/internal/thrown.h"
#include "semper/base/log.h"
#include "semper/env/fork.h"
#include "semper/rpc/call.h"
#include "semper/rpc/channel.h"
#include "semper/rpc/native.h"

namespace semper::rpc {
namespace {

// How long a watch of a state may outlive the attempt that asked for it.
constexpr Duration kWatchSlice = std::chrono::seconds(1);

// gRPC's own pauses: short, for an attempt of ours ends at its first failure anyway.
constexpr int kBackoffMilliseconds = 100;
// How long to ask gRPC why a connection failed: it knows at once, or is trying anew.
constexpr Duration kReasonPatience = std::chrono::milliseconds(100);

// How long to wait for the number of a name's addresses: gRPC looks the name up anyway.
constexpr Duration kLookupPatience = std::chrono::milliseconds(500);

// gRPC tells of changes of state through a completion queue only. One thread takes them for the
// whole process; it is never joined, because channels may be used until the process ends.
class StateWatcher {
 public:
  static StateWatcher& instance() {
    static auto* const watcher = new StateWatcher();
    return *watcher;
  }

  // Set when the state is no longer `last`, or the slice has passed.
  OneShot<std::monostate> watch(const std::shared_ptr<grpc::Channel>& channel,
                                grpc_connectivity_state last, Duration slice) {
    OneShot<std::monostate> changed;
    auto* const tag = new Watch{channel, changed};
    channel->NotifyOnStateChange(last, grpc_time_after(slice), &queue_, tag);
    return changed;
  }

 private:
  struct Watch {
    std::shared_ptr<grpc::Channel> channel;
    OneShot<std::monostate> changed;
  };

  StateWatcher() {
    std::thread([this] {
      void* tag = nullptr;
      bool ok = false;
      while (queue_.Next(&tag, &ok)) {
        std::unique_ptr<Watch> watch(static_cast<Watch*>(tag));
        // Who is woken may end the process at once: no channel is closed here while that goes on.
        auto changed = std::move(watch->changed);
        watch.reset();
        changed.set({});
      }
    }).detach();
  }

  grpc::CompletionQueue queue_;
};

class TokenPlugin final : public grpc::MetadataCredentialsPlugin {
 public:
  explicit TokenPlugin(std::function<Result<std::string>()> token) : token_(std::move(token)) {}
  bool IsBlocking() const override { return false; }
  const char* GetType() const override { return "semper-token"; }
  grpc::Status GetMetadata(grpc::string_ref, grpc::string_ref, const grpc::AuthContext&,
                           std::multimap<grpc::string, grpc::string>* metadata) override {
    try {
      auto token = token_();
      if (!token) return grpc::Status(grpc::StatusCode::UNAUTHENTICATED, token.error().message());
      metadata->emplace("authorization", "Bearer " + *token);
      return grpc::Status::OK;
    } catch (const std::exception& thrown) {
      return grpc::Status(
          grpc::StatusCode::UNAUTHENTICATED,
          std::string("the function that gives the token threw: ") + internal::text_of(thrown));
    } catch (...) {
      return grpc::Status(grpc::StatusCode::UNAUTHENTICATED,
                          "the function that gives the token threw no std::exception");
    }
  }

 private:
  std::function<Result<std::string>()> token_;
};

Result<std::shared_ptr<grpc::ChannelCredentials>> native_credentials(const Credentials& given) {
  if (given.kind == Credentials::Kind::insecure) {
    if (given.token) {
      return fail(ErrorKind::invalid_argument,
                  "a token is sent over TLS only; the credentials are insecure");
    }
    return grpc::InsecureChannelCredentials();
  }
  if (given.certificate.empty() != given.private_key.empty()) {
    return fail(ErrorKind::invalid_argument,
                "mutual TLS needs a certificate and its private key, and one is missing");
  }
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = given.root_certificates;
  options.pem_cert_chain = given.certificate;
  options.pem_private_key = given.private_key;
  auto credentials = grpc::SslCredentials(options);
  if (given.token) {
    credentials = grpc::CompositeChannelCredentials(
        credentials,
        grpc::MetadataCredentialsFromPlugin(std::make_unique<TokenPlugin>(given.token)));
  }
  if (!credentials) {
    return fail(ErrorKind::invalid_argument, "gRPC cannot use these TLS credentials");
  }
  return credentials;
}

// What gRPC says of a channel that has just failed; empty: nothing.
Async<std::string> reason_of(std::shared_ptr<grpc::Channel> channel) {
  struct Question {
    grpc::ClientContext context;
    grpc::ByteBuffer request = to_buffer(Bytes());
    grpc::ByteBuffer response;
    OneShot<grpc::Status> done;
  };
  // Fails before it is sent; harmless should there be a connection after all.
  auto question = std::make_shared<Question>();
  question->context.set_deadline(grpc_time_after(kReasonPatience));
  grpc::GenericStub stub(channel);
  stub.UnaryCall(&question->context, "/grpc.health.v1.Health/Check", {}, &question->request,
                 &question->response,
                 [question](grpc::Status status) { question->done.set(std::move(status)); });
  SEMPER_CO_TRY(const auto status, co_await question->done.wait());
  co_return status.error_code() == grpc::StatusCode::UNAVAILABLE ? status.error_message() : "";
}

// Said where a connection could not be made.
std::string way_to(const ChannelOptions& options, const std::string& address) {
  const auto proxy = environment_proxy(address);
  if (!proxy) return "";
  if (options.http_proxy == ChannelOptions::HttpProxy::of_environment) {
    return "; the way went through the proxy " + proxy->url + ", which " + proxy->variable +
           " names, and no_proxy does not except it";
  }
  return "; the proxy " + proxy->url + ", which " + proxy->variable + " names, was not used";
}

Task<std::size_t> count_addresses_of(const ChannelOptions& options, std::string address) {
  const bool asks_proxy = options.http_proxy == ChannelOptions::HttpProxy::of_environment &&
                          environment_proxy(address).has_value();
  if (asks_proxy || SEMPER_MUTANT("rpc_first_address_takes_all_the_time")) co_return 1;
  const Duration patience = std::min(kLookupPatience, options.connect_deadline / 4);
  co_return co_await count_addresses(std::move(address), patience);
}

Async<void> until_ready(std::shared_ptr<grpc::Channel> channel, std::string address,
                        Credentials::Kind kind, Duration within) {
  const auto started = system_clock().now();
  bool tried = false;
  while (true) {
    const auto state = channel->GetState(true);
    if (state == GRPC_CHANNEL_READY) co_return Status();
    if (state == GRPC_CHANNEL_TRANSIENT_FAILURE || state == GRPC_CHANNEL_SHUTDOWN ||
        (tried && state == GRPC_CHANNEL_IDLE)) {
      SEMPER_CO_TRY(std::string reason, co_await reason_of(channel));
      const auto failure = failure_of(reason, kind == Credentials::Kind::tls);
      std::string what = "cannot connect to " + address + ": " + failure.cause;
      if (!reason.empty()) what += " (" + reason + ")";
      co_return fail(failure.is_permanent ? ErrorKind::invalid_argument : ErrorKind::io,
                     std::move(what));
    }
    tried = tried || state == GRPC_CHANNEL_CONNECTING;
    const Duration passed = system_clock().now() - started;
    if (passed >= within) {
      co_return fail(ErrorKind::timeout, address + " did not answer within " +
                                             std::to_string(milliseconds(within)) + " ms");
    }
    auto changed =
        StateWatcher::instance().watch(channel, state, std::min(kWatchSlice, within - passed));
    auto woken = co_await changed.wait();
    if (!woken) co_return fail(woken.error());
  }
}

Async<Channel> connect_at_pace(std::shared_ptr<const ChannelOptions> given,
                               std::shared_ptr<PingPace> pace) {
  const ChannelOptions& options = *given;
  std::string address = options.address;
  if (options.resolve) {
    auto resolved = co_await options.resolve();
    if (!resolved) co_return fail(resolved.error().in("the address of a channel"));
    address = std::move(*resolved);
  }
  SEMPER_CO_TRY_STATUS(check_address(address, AddressUse::connect));
  Result<Credentials> renewed = options.credentials;
  if (options.renew_credentials) renewed = options.renew_credentials();
  if (!renewed) co_return fail(renewed.error().in("the credentials of a channel"));
  SEMPER_CO_TRY_STATUS(begin_with_grpc());
  SEMPER_CO_TRY(auto credentials, native_credentials(*renewed));
  std::shared_ptr<ChannelAccess::Impl> impl(new ChannelAccess::Impl(), [](auto* made) {
    if (!made->fork.is_foreign()) delete made;
  });
  impl->address = address;
  const Duration every = std::max(options.keepalive, Duration(pace->shortest.load()));
  impl->pings = std::make_shared<const Pings>(Pings{address, every, std::move(pace)});
  const std::size_t addresses = co_await count_addresses_of(options, address);
  const auto arguments = channel_arguments(options, address, every, addresses);
  impl->channel = grpc::CreateCustomChannel(address, credentials, arguments);
  const auto ready =
      co_await until_ready(impl->channel, address, renewed->kind, options.connect_deadline);
  if (!ready) {
    const Error& error = ready.error();
    co_return fail(error.kind(), error.message() + way_to(options, address));
  }
  co_return ChannelAccess::make(std::move(impl));
}

}  // namespace

grpc::ChannelArguments channel_arguments(const ChannelOptions& options, const std::string& address,
                                         Duration keepalive, std::size_t addresses) {
  grpc::ChannelArguments arguments;
  // gRPC tries one address after the other: one that never answers leaves the others their share.
  const Duration share = options.connect_deadline / static_cast<Duration::rep>(addresses);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kBackoffMilliseconds);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, milliseconds(share));
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kBackoffMilliseconds);
  // Otherwise a new channel finds the connection, and the pause, of an old one to the same address.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_CLIENT_IDLE_TIMEOUT_MS, INT_MAX);
  // Its retries stay on for calls that no server has seen; what a service configuration asks for
  // would repeat others.
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  if (options.http_proxy == ChannelOptions::HttpProxy::none || !environment_proxy(address)) {
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  }
  if (SEMPER_MUTANT("rpc_call_that_a_server_saw_sent_again")) {
    arguments.SetServiceConfigJSON(
        R"({"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 4,
            "initialBackoff": "0.05s", "maxBackoff": "0.2s", "backoffMultiplier": 2,
            "retryableStatusCodes": ["UNAVAILABLE"]}}]})");
  }
  if (SEMPER_MUTANT("rpc_dead_connection_not_noticed")) keepalive = kForever;
  if (keepalive != kForever) {
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, milliseconds(keepalive));
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, milliseconds(options.keepalive_timeout));
    const bool idle_too = options.ping_when == ChannelOptions::PingWhen::always;
    arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, idle_too ? 1 : 0);
    arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  }
  arguments.SetMaxReceiveMessageSize(
      static_cast<int>(std::min<std::size_t>(options.max_message_bytes, INT_MAX)));
  if (!options.tls_name_override.empty()) {
    arguments.SetSslTargetNameOverride(options.tls_name_override);
  }
  return arguments;
}

void learn_from(const Pings& pings, const grpc::Status& status) {
  if (status.error_code() != grpc::StatusCode::UNAVAILABLE || pings.every == kForever) return;
  const auto& text = status.error_message();
  const bool too_many = text.find("too_many_pings") != std::string::npos ||
                        text.find("Too many pings") != std::string::npos;
  if (!too_many) return;
  const Duration next = pings.every > kForever / 2 ? kForever : pings.every * 2;
  auto known = pings.pace->shortest.load();
  while (known < next.count()) {
    if (!pings.pace->shortest.compare_exchange_weak(known, next.count())) continue;
    log_warning("rpc", pings.address + " cut the connection off because of pings after " +
                           std::to_string(milliseconds(pings.every)) +
                           " ms without traffic; they come half as often from now on "
                           "(ChannelOptions::keepalive)");
    return;
  }
}

Credentials Credentials::tls(std::string roots) {
  Credentials made;
  made.kind = Kind::tls;
  made.root_certificates = std::move(roots);
  return made;
}

Credentials Credentials::mutual_tls(std::string roots, std::string certificate, std::string key) {
  Credentials made = tls(std::move(roots));
  made.certificate = std::move(certificate);
  made.private_key = std::move(key);
  return made;
}

bool Channel::is_ready() const {
  return !impl_->fork.is_foreign() && !impl_->given_up.load(std::memory_order_relaxed) &&
         impl_->channel->GetState(false) == GRPC_CHANNEL_READY;
}

void Channel::give_up() {
  impl_->given_up.store(true, std::memory_order_relaxed);
}

const std::string& Channel::address() const {
  return impl_->address;
}

std::shared_ptr<grpc::Channel> native(const Channel& channel) {
  return ChannelAccess::native(channel);
}

Async<Channel> connect(ChannelOptions options) {
  auto given = std::make_shared<const ChannelOptions>(std::move(options));
  auto pace = std::make_shared<PingPace>();
  co_return co_await connect_at_pace(std::move(given), std::move(pace));
}

Durable<Channel> durable_channel(ChannelOptions options, DurableOptions<Channel> durable) {
  if (durable.name == DurableOptions<Channel>().name) {
    durable.name = options.resolve ? "grpc channel" : "grpc " + options.address;
  }
  auto shared = std::make_shared<const ChannelOptions>(std::move(options));
  auto pace = std::make_shared<PingPace>();
  return Durable<Channel>::create([shared, pace] { return connect_at_pace(shared, pace); },
                                  [](const Channel& channel) { return !channel.is_ready(); },
                                  std::move(durable));
}

Async<Durable<Channel>> durable_channel_or_fail(ChannelOptions options,
                                                DurableOptions<Channel> durable) {
  auto made = durable_channel(std::move(options), std::move(durable));
  auto nothing = [](Channel&) {};
  SEMPER_CO_TRY_STATUS(co_await made.with(nothing));
  co_return made;
}

Async<void> check_health(Channel channel, std::string service, Duration deadline) {
  // HealthCheckRequest { string service = 1; } and HealthCheckResponse { enum status = 1; } of
  // grpc.health.v1, small enough to write by hand.
  constexpr std::size_t kLongestName = 127;  // a length of one byte
  constexpr char kServing = 1;
  if (service.size() > kLongestName) {
    co_return fail(ErrorKind::invalid_argument, "the name of a service is at most 127 bytes long");
  }
  Bytes request;
  if (!service.empty()) {
    request.push_back('\x0a');
    request.push_back(static_cast<char>(service.size()));
    request.append(service);
  }
  CallOptions options;
  options.deadline = deadline;
  SEMPER_CO_TRY(const Bytes answer,
                co_await call(std::move(channel), "/grpc.health.v1.Health/Check",
                              std::move(request), std::move(options)));
  const Bytes serving{'\x08', kServing};
  if (answer != serving) {
    co_return fail(ErrorKind::retry,
                   "the server says that it does not serve '" + service + "' now");
  }
  co_return Status();
}

}  // namespace semper::rpc
