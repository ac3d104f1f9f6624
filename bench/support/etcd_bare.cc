#include "etcd_bare.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "backends/etcd/messages.h"
#include "report.h"

namespace semper::bench {
namespace {

using Steady = std::chrono::steady_clock;
using namespace semper::etcd;

constexpr const char* kPutMethod = "/etcdserverpb.KV/Put";
// One connection alone would be the limit before etcd is.
constexpr int kChannels = 4;

grpc::ByteBuffer buffer_of(const google::protobuf::MessageLite& message) {
  const grpc::Slice slice(message.SerializeAsString());
  return grpc::ByteBuffer(&slice, 1);
}

struct Call {
  grpc::ClientContext context;
  grpc::ByteBuffer answer;
  grpc::Status status;
  std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader;
  std::size_t client = 0;
};

double us_since(Steady::time_point start) {
  return std::chrono::duration<double, std::micro>(Steady::now() - start).count();
}

}  // namespace

struct BareEtcd::Impl {
  std::vector<std::unique_ptr<grpc::GenericStub>> stubs;
  grpc::CompletionQueue queue;

  void begin(std::size_t client, const char* method, const google::protobuf::MessageLite& message) {
    auto* call = new Call;
    call->client = client;
    call->reader = stubs[client % stubs.size()]->PrepareUnaryCall(&call->context, method,
                                                                  buffer_of(message), &queue);
    call->reader->StartCall();
    call->reader->Finish(&call->answer, &call->status, call);
  }

  std::unique_ptr<Call> next() {
    void* tag = nullptr;
    bool ok = false;
    queue.Next(&tag, &ok);
    std::unique_ptr<Call> call(static_cast<Call*>(tag));
    if (!call->status.ok()) {
      std::fprintf(stderr, "bench: etcd: %s\n", call->status.error_message().c_str());
      std::exit(1);
    }
    return call;
  }

  std::string ask(const char* method, const google::protobuf::MessageLite& message) {
    begin(0, method, message);
    const auto call = next();
    grpc::Slice single;
    if (!call->answer.DumpToSingleSlice(&single).ok()) std::exit(1);
    return std::string(reinterpret_cast<const char*>(single.begin()), single.size());
  }
};

BareEtcd::BareEtcd(const std::string& endpoint) : impl_(std::make_unique<Impl>()) {
  for (int i = 0; i < kChannels; ++i) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    impl_->stubs.push_back(std::make_unique<grpc::GenericStub>(
        grpc::CreateCustomChannel(endpoint, grpc::InsecureChannelCredentials(), arguments)));
  }
}

BareEtcd::~BareEtcd() = default;

double BareEtcd::puts_per_second(std::size_t clients, std::size_t value_bytes, double seconds) {
  const std::string value(value_bytes, 'v');
  const auto put_of = [&](std::size_t client) {
    pb::PutRequest request;
    request.set_key("bare/put/" + std::to_string(client));
    request.set_value(value);
    return request;
  };
  for (std::size_t client = 0; client < clients; ++client) {
    impl_->begin(client, kPutMethod, put_of(client));
  }
  const auto start = Steady::now();
  std::size_t done = 0;
  std::size_t under_way = clients;
  double took_us = 0;
  while (under_way > 0) {
    const auto call = impl_->next();
    took_us = us_since(start);
    if (took_us < seconds * 1e6) {
      ++done;
      impl_->begin(call->client, kPutMethod, put_of(call->client));
    } else {
      --under_way;
    }
  }
  return static_cast<double>(done) / seconds;
}

double BareEtcd::range_and_txn_p50_us(double seconds) {
  std::vector<double> samples;
  const auto start = Steady::now();
  while (us_since(start) < seconds * 1e6) {
    const auto began = Steady::now();
    pb::RangeRequest read;
    read.set_key("bare/counter");
    pb::RangeResponse found;
    if (!found.ParseFromString(impl_->ask(kRangeMethod, read))) std::exit(1);
    pb::TxnRequest write;
    compare_mod(*write.add_compare(), read.key(), pb::Compare::EQUAL,
                found.kvs_size() == 0 ? 0 : found.kvs(0).mod_revision());
    put(*write.add_success(), read.key(), std::string(100, 'v'));
    pb::TxnResponse answer;
    if (!answer.ParseFromString(impl_->ask(kTxnMethod, write)) || !answer.succeeded()) std::exit(1);
    samples.push_back(us_since(began));
  }
  return median(std::move(samples));
}

}  // namespace semper::bench
