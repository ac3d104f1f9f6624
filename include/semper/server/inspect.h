// Inspecting a store's entities without their C++ types: for tools, dashboards and tests.
//
//   const semper::EntityId id{"Counter", "page/home"};
//   SEMPER_CO_TRY(const auto view, co_await semper::inspect(tenant, id));
//   if (view.state) std::cout << semper::cbor_to_json(*view.state).value_or("(not readable)");
//
// Everything here reads in one transaction and changes nothing. When not: a program that has the
// types uses priority_call (server/ref.h); what puts dead letters back or deletes them is in
// dead_letters.h.
//
// Errors, and the next move: not_found (there is nothing of that name), invalid_argument (the name
// cannot be one), exhausted (more than kListedMaximum: list them in pages), timeout (more than can
// be read within Limits::transaction_duration: list smaller pages), corrupt (the message names the
// key; docs/operations.md), and the store's own. A list in pages is not of one moment: each page
// is. Threads: any.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "semper/server/dead_letters.h"  // was declared here: for programs that know it from here
#include "semper/server/entity_id.h"
#include "semper/server/message.h"
#include "semper/server/message_info.h"
#include "semper/server/rate_limit.h"
#include "semper/store/versionstamp.h"

namespace semper {

struct TypeView {
  std::string type;
  std::vector<MessageInfo> messages;  // empty if only entities are known
};

// The limits of a type that a host keeps to (behaviour.h).
struct LimitsView {
  RateLimit rate;        // kRateLimit; of no messages: there is none
  int running = 0;       // kConcurrencyLimit; 0: there is none
  RateLimit type_rate;   // kTypeRateLimit, the same
  int type_running = 0;  // kTypeConcurrencyLimit, the same
  bool by_key = false;   // the first two are of each limit key
  bool refuses = false;  // kOverLimit
};

// A type as one host serves it.
struct ServedTypeView {
  std::string type;
  std::uint32_t state_version = 1;
  // It has met entities that need an unknown newer program.
  bool is_behind = false;
  std::vector<MessageInfo> messages;      // names, including former ones, and how they are handled
  bool has_more = false;                  // there were more messages than fit into its row
  std::optional<LimitsView> limits = {};  // if it has some; older programs do not say
};

struct HostView {
  std::string id;
  std::string name;
  std::vector<std::string> types;
  std::uint64_t renewals = 0;
  WallTime renewed;  // by the host's own wall clock, for people
  // Its HostOptions::host_lease; hosts of 0.1.0 do not store it. A host that has not renewed for
  // longer has died: look twice to find out.
  std::optional<Duration> lease;
  // What it says about its types; types that do not fit into its row are missing, and so are those
  // of 0.1.0 hosts.
  std::vector<ServedTypeView> speaks = {};
};

// A process that waits for replies.
struct SessionView {
  std::string id;
  std::uint64_t renewals = 0;
};

struct LockView {
  std::string owner;
  WallTime acquired;
};

// The first message of the queue, if its runs have failed so far.
struct FailingView {
  std::uint64_t attempts = 0;
  WallTime first_attempt;  // by the hosts' wall clocks, for people
  WallTime last_attempt;
  WallTime next_attempt;  // approximate
  std::string host;       // of the last run
  std::string reason;
};

// An entity that has been waiting for a limit of its type for a second or longer.
struct LimitedView {
  bool is_rate = false;  // kRateLimit, kTypeRateLimit; else kConcurrencyLimit and the like
  std::string key;       // limit_key() of the entity; empty if its type has none
  WallTime since;        // by the host's wall clock, for people
};

struct EntityView {
  EntityId id;
  std::optional<Bytes> state;  // one CBOR item; empty before the first message
  std::uint32_t state_version = 1;
  Versionstamp stamp;  // of the commit that last wrote it
  std::uint64_t queue_length = 0;
  std::uint64_t processed = 0;  // messages taken from the queue so far
  std::optional<LockView> lock;
  std::optional<std::string> parked;  // why its state cannot be decoded
  std::uint64_t dead_letters = 0;     // counted up to kDeadLettersCounted
  std::optional<FailingView> failing;
  bool indexed = false;  // a host will look at it
  // The note of a host that left it alone: "version >= 3", "a host that takes cast Foo". Out of
  // date if a message has been sent to the entity since.
  std::optional<std::string> needs = {};
  // For how long, at least, the first message has waited, by the monotonic clock of a host that has
  // watched the store's versions since (docs/operations.md, "The age of a message"). Empty: no
  // message waits, or no host that lives has seen it wait.
  std::optional<Duration> oldest = std::nullopt;
  std::optional<LimitedView> limited = {};
};

struct QueuedView {
  Versionstamp stamp;
  bool is_call = false;
  RawMessage message;
  // The chain of calls that it is part of: the entities that wait for its reply, the first one
  // first. Empty: no callback waits for it.
  std::vector<EntityId> callers = {};
  // The traceparent that it was sent with; empty: none.
  std::string traceparent = {};
};

// Names that one list has without ListOptions; if there are more: `exhausted`.
inline constexpr std::size_t kListedMaximum = 10'000;

// One page. The next one begins after the last id of this one; a page with fewer than `limit` is
// the last. The id is that of an entity, host or session (a whole number of bytes), or a type's
// name.
struct ListOptions {
  std::string id_prefix = {};  // only ids that begin with this
  std::string after = {};      // only ids after this one
  std::size_t limit = 100;     // memory: `limit` views
};

// Types that a host has registered or that have entities, sorted by name. One seek per type.
Async<std::vector<TypeView>> list_types(Tenant tenant);
Async<std::vector<TypeView>> list_types(Tenant tenant, ListOptions options);
// In the order of their ids, which is none that people know.
Async<std::vector<HostView>> list_hosts(Tenant tenant);
Async<std::vector<HostView>> list_hosts(Tenant tenant, ListOptions options);
// The first `limit` sessions, or a page of them. One seek per session, however many replies it has.
// Sessions that have ended and left only replies are passed over, up to kListedMaximum of them;
// if there are more: `exhausted` (a running host removes them).
Async<std::vector<SessionView>> list_sessions(Tenant tenant, std::size_t limit = 1000);
Async<std::vector<SessionView>> list_sessions(Tenant tenant, ListOptions options);
// Ids in byte order. One seek per entity, however large it is.
Async<std::vector<std::string>> list_entities(Tenant tenant, std::string type, ListOptions options);
// No default argument above: g++ 12 would destroy it twice in `co_await list_entities(tenant,
// type)`.
inline Async<std::vector<std::string>> list_entities(Tenant tenant, std::string type) {
  return list_entities(std::move(tenant), std::move(type), ListOptions());
}
Async<EntityView> inspect(Tenant tenant, EntityId id);
// The first `limit` waiting messages.
Async<std::vector<QueuedView>> peek_queue(Tenant tenant, EntityId id, std::size_t limit = 20);
// Unfinished work in the store, apart from the states of entities. All of it is zero once
// everything is done and every process has left; anything else was left behind.
struct Outstanding {
  std::uint64_t entities_with_work = 0;  // a host will look at them
  std::uint64_t sessions = 0;            // processes that wait for replies
  std::uint64_t replies = 0;             // not fetched yet
  std::uint64_t locks = 0;               // of entities with work
  std::uint64_t hosts = 0;
};
// For tests, and for small stores: reads everything that is unfinished in one transaction, and
// keeps the ids of the entities with work in memory. `timeout` if that is more than fits into
// Limits::transaction_duration.
Async<Outstanding> count_outstanding(Tenant tenant);

}  // namespace semper
