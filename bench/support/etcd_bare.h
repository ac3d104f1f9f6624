// Bare etcd, for reference: gRPC calls with nothing of Semper around them.
#pragma once

#include <memory>
#include <string>

namespace semper::bench {

class BareEtcd {
 public:
  explicit BareEtcd(const std::string& endpoint);
  ~BareEtcd();

  // `clients` requests under way at all times, each a put of `value_bytes` on a key of its own.
  double puts_per_second(std::size_t clients, std::size_t value_bytes, double seconds);

  // One client: a linearizable range of one key, then a transaction that compares its revision and
  // puts it; both together, p50.
  double range_and_txn_p50_us(double seconds);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace semper::bench
