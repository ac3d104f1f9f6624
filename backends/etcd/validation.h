// Validation: whether what a transaction read still holds, found out by reading it again.
//
// For transactions whose reads are too many, or not known well enough, to be conditions of a
// request: everything is read at one revision; if nothing has changed, the transaction is sent on
// the single condition that nobody has committed since.
#pragma once

#include "backends/etcd/kv.h"
#include "backends/etcd/request.h"

namespace semper::etcd {

// Of one request that reads.
inline constexpr std::size_t kValidationReads = 100;
// How often it begins anew because somebody committed meanwhile; then `conflict`.
inline constexpr int kValidationRounds = 8;

// Errors: conflict (something that was read has changed), and those of Kv::read.
Async<Validated> validate(Kv& kv, const Layout& layout, const Plan& plan);

}  // namespace semper::etcd
