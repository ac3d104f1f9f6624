// Cluster: the endpoints of an etcd cluster, asked one after the other.
//
// One endpoint is asked until it fails; then the next one is, round and round. Each has a durable
// channel (semper::rpc), which is connected when it is first needed and again when it broke. Every
// request says that it wants a member with a leader, so that a member that was cut off answers at
// once instead of waiting, and has a deadline of its own, so that one that is stopped holds nobody
// up.
//
// Threads: any. Requests run on the caller's executor, connecting on the one given.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "backends/etcd/kv.h"
#include "backends/etcd/options.h"
#include "backends/etcd/statistics.h"
#include "semper/env/backoff.h"
#include "semper/env/env.h"
#include "semper/rpc/call.h"

namespace semper::etcd {

// Of one request to one endpoint, by gRPC's clock. A leader's fall takes about 1.5 s to mend.
inline constexpr Duration kRequestDeadline = std::chrono::seconds(3);
inline constexpr Duration kConnectDeadline = std::chrono::seconds(2);
// How long a read goes on asking, and between two rounds of all endpoints.
inline constexpr Duration kReadPatience = std::chrono::seconds(10);
inline constexpr BackoffOptions kRoundPause = {.initial = std::chrono::milliseconds(10),
                                               .maximum = std::chrono::milliseconds(250)};
inline constexpr int kReadAttemptsMaximum = 200;
inline constexpr Duration kKeepalive = std::chrono::seconds(10);
inline constexpr Duration kKeepaliveTimeout = std::chrono::seconds(5);
// One answer. A page of values is bounded to less by the snapshot.
inline constexpr std::size_t kAnswerBytesMaximum = std::size_t{16} << 20;
inline constexpr int kLoginsPerRequest = 2;

class Cluster final : public Kv {
 public:
  Cluster(const EtcdOptions& options, Env env, Executor executor, Statistics& statistics);

  Async<pb::TxnResponse> read(const pb::TxnRequest& request) override;
  Task<Written<pb::TxnResponse>> write(const pb::TxnRequest& request) override;

  // As read(), and which endpoint answered: what it has applied it can show again without asking
  // the others (RangeRequest::serializable).
  template <class Response>
  struct From {
    Response response;
    std::size_t endpoint = 0;
  };
  Async<From<pb::TxnResponse>> read_from(const pb::TxnRequest& request);
  // Of one revision: from that endpoint if it can, otherwise as read().
  Async<pb::RangeResponse> range_at(std::size_t endpoint, pb::RangeRequest request);

  // The first endpoint that answers. Error: io, naming what each said.
  Async<pb::StatusResponse> status();

  // What each endpoint's own copy of everything up to a revision comes to; nothing where it cannot
  // be asked, or does not answer us.
  struct MemberHash {
    std::string address;
    std::optional<std::uint32_t> hash;
    // Of what lies above this revision; hashes from different ones say nothing about each other.
    Revision compacted = 0;
  };
  Async<std::vector<MemberHash>> hashes(Revision at);

  // For streams: a channel to the endpoint that is asked now, and what to send along.
  Async<rpc::Channel> channel();
  Async<rpc::CallOptions> stream_options();
  // The stream's end: another endpoint is asked from now on, if that one still is.
  void failed(const std::string& address);
  void stale_token(const Error& error);

  // Called, on any thread, when a connection was given up because a request on it got no answer.
  // Set it before the first request.
  void on_given_up(std::function<void()> hook) { given_up_ = std::move(hook); }

  // Requests under way end, later ones give `closed`.
  void close();

 private:
  struct Endpoint {
    std::string address;
    Durable<rpc::Channel> channel;
  };
  // An error, and whether the request had left.
  struct Unanswered {
    Error error;
    bool sent = false;
  };

  std::size_t current() const { return current_.load(std::memory_order_relaxed); }
  void pass_on(std::size_t endpoint);
  Async<rpc::Channel> channel_of(std::size_t endpoint);
  Task<tl::expected<Bytes, Unanswered>> call_at(std::size_t endpoint, const char* method,
                                                const Bytes& request);
  Async<From<Bytes>> ask_around(const char* method, const Bytes& request);
  Async<std::string> token(const rpc::Channel& channel);
  void forget_token(const std::string& token);

  const Env env_;
  const std::string user_;
  const std::function<Result<std::string>()> renew_password_;
  Statistics* const statistics_;
  std::function<void()> given_up_;
  std::vector<Endpoint> endpoints_;
  std::atomic<std::size_t> current_ = 0;
  std::atomic<bool> closed_ = false;

  std::mutex mutex_;
  std::string token_;
  bool without_users_ = false;
};

}  // namespace semper::etcd
