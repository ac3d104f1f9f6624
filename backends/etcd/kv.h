// Kv: etcd as the committer sees it: transactions, and what is known where no answer came.
//
// Cluster (cluster.h) is the real one; tests script their own.
#pragma once

#include <tl/expected.hpp>

#include "backends/etcd/messages.h"
#include "semper/env/asio.h"

namespace semper::etcd {

// What became of a request without an answer to it.
enum class Fate : std::uint8_t {
  refused,    // it was not done, and never will be
  processed,  // etcd has finished with it: done or not, it will not be done later
  unknown     // done, not done, or still to be done
};

struct WriteFailure {
  Error error;
  Fate fate = Fate::unknown;
};

template <class T>
using Written = tl::expected<T, WriteFailure>;

class Kv {
 public:
  virtual ~Kv() = default;

  // Reads only, as a majority sees it; asks one endpoint after the other for a while. Errors: io
  // (none answered in that time), conflict (a revision that was compacted), permission, closed.
  virtual Async<pb::TxnResponse> read(const pb::TxnRequest& request) = 0;

  // One attempt.
  virtual Task<Written<pb::TxnResponse>> write(const pb::TxnRequest& request) = 0;
};

}  // namespace semper::etcd
