#include "etcd_error.h"

#include <string_view>

namespace semper::etcd {
namespace {

bool says(const Error& error, std::string_view sentence) {
  return error.message().find(sentence) != std::string::npos;
}

// A proxy, or a server that goes, has ended the request in the middle; whoever sits behind it may
// have done it. gRPC makes various codes of that, some of which etcd uses for a refusal.
bool was_cut(const Error& error) {
  return says(error, "RST_STREAM") || says(error, "(gRPC CANCELLED)");
}

constexpr std::string_view kCompacted = "required revision has been compacted";

struct Meaning {
  std::string_view sentence;
  ErrorKind kind;
  std::string_view advice;
  Limit limit = {nullptr, 0};  // of what asks for too much, however much room there is
};

constexpr Meaning kMeanings[] = {
    {"database space exceeded", ErrorKind::exhausted,
     "the etcd cluster has reached its space quota (NOSPACE) and takes no writes until it is "
     "compacted, "
     "defragmented and its alarm disarmed: etcdctl compact --physical REVISION; etcdctl defrag; "
     "etcdctl alarm disarm; nothing was applied"},
    {kCompacted, ErrorKind::conflict,
     "etcd has compacted the revision that this snapshot reads; run the transaction again"},
    {"request is too large",
     ErrorKind::exhausted,
     "the request is over etcd's limit --max-request-bytes, which must be at least 1.5 MiB, its "
     "default; nothing was applied",
     {"max-request-bytes", 1536u << 10}},
    {"too many operations in txn request",
     ErrorKind::exhausted,
     "the request is over etcd's limit --max-txn-ops, which must be at least 128, its default; "
     "nothing was applied",
     {"max-txn-ops", 128}},
    {"user name is empty", ErrorKind::permission,
     "the etcd cluster requires a user; open the store with ?user=NAME&password_file=FILE"},
    {"authentication failed", ErrorKind::permission,
     "the etcd cluster does not know this user or password"},
    {"permission denied", ErrorKind::permission,
     "the user may not read and write the store's prefix; grant it: etcdctl role grant-permission "
     "ROLE readwrite --prefix=true PREFIX"},
    {"too many requests", ErrorKind::retry, "the etcd cluster is overloaded; try again later"},
    {"corrupt cluster", ErrorKind::corrupt,
     "the members of the etcd cluster contradict each other (CORRUPT); restore it from a backup"},
};

}  // namespace

Error explain(const Error& error) {
  for (const auto& meaning : kMeanings) {
    if (!says(error, meaning.sentence)) continue;
    std::string message = std::string(meaning.advice) + " (" + error.message() + ")";
    if (meaning.limit.name == nullptr) return Error(meaning.kind, std::move(message));
    return Error(meaning.kind, meaning.limit, std::move(message));
  }
  return error;
}

Fate fate_of(const Error& error) {
  // Where the quota is reached by the request itself, etcd 3.4 applies it and then answers so.
  if (says(error, "database space exceeded")) return Fate::processed;
  // It answered, and more than we take.
  if (is_too_much(error)) return Fate::processed;
  if (was_cut(error)) return Fate::unknown;
  switch (error.kind()) {
    case ErrorKind::invalid_argument:
    case ErrorKind::permission:
    case ErrorKind::exhausted:
    case ErrorKind::not_found:
    case ErrorKind::unsupported:
      return Fate::refused;
    default:
      return Fate::unknown;
  }
}

bool is_passing(const Error& error) {
  if (says(error, "too many requests") || was_cut(error)) return true;
  switch (error.kind()) {
    case ErrorKind::io:
    case ErrorKind::timeout:
    case ErrorKind::retry:
    case ErrorKind::internal:
      return true;
    default:
      return false;
  }
}

bool is_stale_token(const Error& error) {
  return says(error, "invalid auth token") || says(error, "revision of auth store is old");
}

bool is_without_users(const Error& error) {
  return says(error, "authentication is not enabled");
}

bool is_future_revision(const Error& error) {
  return says(error, "required revision is a future revision");
}

bool is_compacted(const Error& error) {
  return says(error, kCompacted);
}

bool is_too_much(const Error& error) {
  return error.kind() == ErrorKind::exhausted && says(error, "larger than max");
}

}  // namespace semper::etcd
