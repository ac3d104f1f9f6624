// etcd's own error sentences, and what they mean here.
//
// etcd tells its errors apart by their text, as its own client libraries do; the gRPC code alone
// does not say enough.
#pragma once

#include "backends/etcd/kv.h"
#include "semper/base/result.h"

namespace semper::etcd {

// The error with a kind and a sentence that fit a store's user.
Error explain(const Error& error);

// What became of a write that was answered with this error.
Fate fate_of(const Error& error);

// Another endpoint, or the same one a little later, may answer.
bool is_passing(const Error& error);

// The token is no longer good: log in again.
bool is_stale_token(const Error& error);

// The cluster has no users.
bool is_without_users(const Error& error);

// A revision that this member does not have yet.
bool is_future_revision(const Error& error);

// A revision that was compacted.
bool is_compacted(const Error& error);

// The answer was larger than we take.
bool is_too_much(const Error& error);

}  // namespace semper::etcd
