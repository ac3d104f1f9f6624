#include "cluster.h"

#include <utility>

#include "etcd_error.h"
#include "semper/base/log.h"

namespace semper::etcd {
namespace {

rpc::ChannelOptions channel_options(const EtcdOptions& options, const std::string& address) {
  rpc::ChannelOptions made;
  made.address = address;
  made.credentials = options.credentials;
  made.renew_credentials = options.renew_credentials;
  made.connect_deadline = kConnectDeadline;
  made.keepalive = kKeepalive;
  made.keepalive_timeout = kKeepaliveTimeout;
  made.ping_when = rpc::ChannelOptions::PingWhen::during_calls;
  made.max_message_bytes = kAnswerBytesMaximum;
  made.tls_name_override = options.server_name;
  made.http_proxy = options.http_proxy;
  return made;
}

DurableOptions<rpc::Channel> durable_options(const std::string& address, Env env,
                                             Executor executor) {
  DurableOptions<rpc::Channel> made;
  made.name = "etcd " + address;
  made.env = env;
  made.executor = std::move(executor);
  made.retry = std::nullopt;  // who asks goes to the next endpoint, and has pauses of its own
  return made;
}

rpc::CallOptions call_options(const std::string& token) {
  rpc::CallOptions made;
  made.metadata.emplace("hasleader", "true");
  if (!token.empty()) made.metadata.emplace("token", token);
  return made;
}

template <class Message>
Result<Message> parsed(const Bytes& bytes, const char* method) {
  Message message;
  if (!message.ParseFromString(bytes)) {
    return fail(ErrorKind::corrupt, std::string(method) + ": the answer is no message of etcd's");
  }
  return message;
}

}  // namespace

Cluster::Cluster(const EtcdOptions& options, Env env, Executor executor, Statistics& statistics)
    : env_(env),
      user_(options.user),
      renew_password_(options.renew_password),
      statistics_(&statistics) {
  for (const auto& address : options.endpoints) {
    endpoints_.push_back({address, rpc::durable_channel(channel_options(options, address),
                                                        durable_options(address, env, executor))});
  }
}

void Cluster::pass_on(std::size_t endpoint) {
  if (endpoints_.size() == 1) return;
  if (current_.compare_exchange_strong(endpoint, (endpoint + 1) % endpoints_.size())) {
    Statistics::add(statistics_->failovers);
  }
}

void Cluster::failed(const std::string& address) {
  const auto asked = current();
  if (endpoints_[asked].address == address) pass_on(asked);
}

void Cluster::close() {
  closed_.store(true);
  for (auto& endpoint : endpoints_) endpoint.channel.close();
}

Async<rpc::Channel> Cluster::channel_of(std::size_t endpoint) {
  return endpoints_[endpoint].channel.with([](rpc::Channel& channel) { return channel; });
}

Async<rpc::Channel> Cluster::channel() {
  const auto endpoint = current();
  auto made = co_await channel_of(endpoint);
  if (!made) pass_on(endpoint);
  co_return made;
}

Async<rpc::CallOptions> Cluster::stream_options() {
  SEMPER_CO_TRY(auto made, co_await channel());
  SEMPER_CO_TRY(const auto with, co_await token(made));
  co_return call_options(with);
}

Async<std::string> Cluster::token(const rpc::Channel& channel) {
  if (user_.empty()) co_return std::string();
  {
    std::lock_guard lock(mutex_);
    if (!token_.empty() || without_users_) co_return token_;
  }
  SEMPER_CO_TRY(const std::string password, renew_password_());
  pb::AuthenticateRequest request;
  request.set_name(user_);
  request.set_password(password);
  rpc::CallOptions options = call_options("");
  options.deadline = kRequestDeadline;
  auto answer = co_await rpc::call(channel, kAuthenticateMethod, request.SerializeAsString(),
                                   std::move(options));
  if (!answer && is_without_users(answer.error())) {
    log_warning("etcd", "the cluster asks for no user or password: whoever reaches it may write");
    std::lock_guard lock(mutex_);
    without_users_ = true;
    co_return std::string();
  }
  if (!answer) co_return fail(answer.error());
  SEMPER_CO_TRY(const auto response,
                parsed<pb::AuthenticateResponse>(*answer, kAuthenticateMethod));
  std::lock_guard lock(mutex_);
  token_ = response.token();
  co_return token_;
}

void Cluster::forget_token(const std::string& token) {
  std::lock_guard lock(mutex_);
  without_users_ = false;
  if (token_ == token) token_.clear();
}

void Cluster::stale_token(const Error& error) {
  if (!is_stale_token(error)) return;
  std::lock_guard lock(mutex_);
  token_.clear();
}

Task<tl::expected<Bytes, Cluster::Unanswered>> Cluster::call_at(std::size_t endpoint,
                                                                const char* method,
                                                                const Bytes& request) {
  using Answer = tl::expected<Bytes, Unanswered>;
  const auto unanswered = [&](const Error& error, bool sent) {
    return Answer(tl::unexpected<Unanswered>(
        Unanswered{error.in("etcd at " + endpoints_[endpoint].address), sent}));
  };
  auto channel = co_await channel_of(endpoint);
  if (!channel) co_return unanswered(channel.error(), false);
  for (int login = 1;; ++login) {
    auto with = co_await token(*channel);
    if (!with) co_return unanswered(with.error(), false);
    rpc::CallOptions options = call_options(*with);
    options.deadline = kRequestDeadline;
    auto answer = co_await rpc::call(*channel, method, request, std::move(options));
    if (answer) co_return Answer(std::move(*answer));
    // Nothing came back: a proxy or load balancer may hold a connection that leads nowhere any
    // more.
    if (answer.error().kind() == ErrorKind::timeout) {
      channel->give_up();
      if (given_up_) given_up_();
    }
    if (login == kLoginsPerRequest || user_.empty() || !is_stale_token(answer.error())) {
      co_return unanswered(answer.error(), true);
    }
    forget_token(*with);
  }
}

Async<Cluster::From<Bytes>> Cluster::ask_around(const char* method, const Bytes& request) {
  const MonotonicTime until = env_.clock->after(kReadPatience);
  Backoff pause(kRoundPause, *env_.random);
  for (int attempt = 1;; ++attempt) {
    const auto endpoint = current();
    Statistics::add(statistics_->reads);
    auto answer = co_await call_at(endpoint, method, request);
    if (answer) {
      From<Bytes> from{std::move(*answer), endpoint};
      co_return from;
    }
    const Error error = std::move(answer.error().error);
    if (closed_.load()) co_return fail(ErrorKind::closed, "the store was closed");
    if (!is_passing(error)) co_return fail(explain(error));
    pass_on(endpoint);
    if (attempt == kReadAttemptsMaximum || env_.clock->now() >= until) {
      co_return fail(ErrorKind::io,
                     "no endpoint of the etcd cluster answers; the last error: " + error.message());
    }
    const bool round = static_cast<std::size_t>(attempt) % endpoints_.size() == 0;
    if (round) SEMPER_CO_TRY_STATUS(co_await sleep_for(*env_.clock, pause.next()));
  }
}

Async<Cluster::From<pb::TxnResponse>> Cluster::read_from(const pb::TxnRequest& request) {
  const Bytes bytes = request.SerializeAsString();
  SEMPER_CO_TRY(auto answer, co_await ask_around(kTxnMethod, bytes));
  SEMPER_CO_TRY(auto response, parsed<pb::TxnResponse>(answer.response, kTxnMethod));
  From<pb::TxnResponse> from{std::move(response), answer.endpoint};
  co_return from;
}

Async<pb::TxnResponse> Cluster::read(const pb::TxnRequest& request) {
  SEMPER_CO_TRY(auto from, co_await read_from(request));
  co_return std::move(from.response);
}

Async<pb::RangeResponse> Cluster::range_at(std::size_t endpoint, pb::RangeRequest request) {
  request.set_serializable(true);
  const Bytes there = request.SerializeAsString();
  Statistics::add(statistics_->reads);
  auto answer = co_await call_at(endpoint, kRangeMethod, there);
  if (answer) co_return parsed<pb::RangeResponse>(*answer, kRangeMethod);
  const Error error = std::move(answer.error().error);
  if (!is_passing(error) && !is_future_revision(error)) co_return fail(explain(error));
  request.set_serializable(false);
  const Bytes anywhere = request.SerializeAsString();
  SEMPER_CO_TRY(auto from, co_await ask_around(kRangeMethod, anywhere));
  co_return parsed<pb::RangeResponse>(from.response, kRangeMethod);
}

Task<Written<pb::TxnResponse>> Cluster::write(const pb::TxnRequest& request) {
  const Bytes bytes = request.SerializeAsString();
  const auto endpoint = current();
  auto answer = co_await call_at(endpoint, kTxnMethod, bytes);
  if (answer) {
    auto response = parsed<pb::TxnResponse>(*answer, kTxnMethod);
    if (response) co_return std::move(*response);
    WriteFailure garbled{response.error(), Fate::processed};
    co_return tl::unexpected<WriteFailure>(std::move(garbled));
  }
  const Error& error = answer.error().error;
  const Fate fate = answer.error().sent ? fate_of(error) : Fate::refused;
  if (is_passing(error)) pass_on(endpoint);
  WriteFailure failure{explain(error), fate};
  co_return tl::unexpected<WriteFailure>(std::move(failure));
}

Async<std::vector<Cluster::MemberHash>> Cluster::hashes(Revision at) {
  pb::HashKVRequest request;
  request.set_revision(at);
  const Bytes bytes = request.SerializeAsString();
  std::vector<MemberHash> all;
  for (std::size_t i = 0; i < endpoints_.size(); ++i) {
    MemberHash member{endpoints_[i].address, std::nullopt, 0};
    auto answer = co_await call_at(i, kHashMethod, bytes);
    if (closed_.load()) co_return fail(ErrorKind::closed, "the store was closed");
    pb::HashKVResponse response;
    if (answer && response.ParseFromString(*answer)) {
      member.hash = response.hash();
      member.compacted = response.compact_revision();
    }
    all.push_back(std::move(member));
  }
  co_return all;
}

Async<pb::StatusResponse> Cluster::status() {
  std::string said;
  for (std::size_t i = 0; i < endpoints_.size(); ++i) {
    auto channel = co_await channel_of(i);
    Result<Bytes> answer = fail(ErrorKind::io, "not asked");
    if (channel) {
      rpc::CallOptions options;
      options.deadline = kRequestDeadline;
      answer = co_await rpc::call(*channel, kStatusMethod, Bytes(), std::move(options));
    } else {
      answer = fail(channel.error());
    }
    if (answer) {
      current_.store(i);
      co_return parsed<pb::StatusResponse>(*answer, kStatusMethod);
    }
    said += (said.empty() ? "" : "; ") + endpoints_[i].address + ": " + answer.error().message();
  }
  if (said.find("was not used") != std::string::npos) {
    said += "; http_proxy=on in the URL goes through the proxy of the environment";
  }
  co_return fail(ErrorKind::io, "no endpoint of the etcd cluster answers (" + said + ")");
}

}  // namespace semper::etcd
