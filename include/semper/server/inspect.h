// Inspecting a store's entities without their C++ types: for tools, dashboards and tests.
//
//   const semper::EntityId id{"Counter", "page/home"};
//   SEMPER_CO_TRY(const auto view, co_await semper::inspect(tenant, id));
//   if (view.state) std::cout << semper::cbor_to_json(*view.state).value_or("(not readable)");
//
// Everything here reads in one transaction and changes nothing, except redrive_dead_letters.
// Errors: not_found, invalid_argument, corrupt (the message names the key), and the store's own.
// Threads: any. When not: a program that has the types uses priority_call (server/ref.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "semper/server/entity_id.h"
#include "semper/server/message.h"
#include "semper/server/message_info.h"
#include "semper/store/versionstamp.h"

namespace semper {

struct TypeView {
  std::string type;
  std::vector<MessageInfo> messages;  // empty if only entities are known
};

// A type as one host serves it.
struct ServedTypeView {
  std::string type;
  std::uint32_t state_version = 1;
  // It has met entities that need an unknown newer program.
  bool is_behind = false;
  std::vector<MessageInfo> messages;  // names, including former ones, and how they are handled
  bool has_more = false;              // there were more messages than fit into its row
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

// How many dead letters of one entity inspect() counts; there may be more.
inline constexpr std::uint64_t kDeadLettersCounted = 10'000;

struct EntityView {
  EntityId id;
  std::optional<Bytes> state;  // one CBOR item; empty before the first message
  std::uint32_t state_version = 1;
  Versionstamp stamp;          // of the commit that last wrote it
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
};

struct QueuedView {
  Versionstamp stamp;
  bool is_call = false;
  RawMessage message;
};

struct DeadLetterView {
  Versionstamp stamp;
  bool was_call = false;
  RawMessage message;
  std::string reason;
  WallTime time;  // of its last run, after which it was set aside
  // Runs until then, and the time of the first. For letters of 0.1.0 neither is known: 0, and
  // `time`.
  std::uint64_t attempts = 0;
  WallTime first_attempt = {};
};

struct ListOptions {
  std::string id_prefix = {};  // only ids that begin with this
  std::string after = {};      // only ids after this one
  std::size_t limit = 100;
};

// Types that a host has registered or that have entities, sorted by name.
Async<std::vector<TypeView>> list_types(Tenant tenant);
Async<std::vector<HostView>> list_hosts(Tenant tenant);
// The first `limit` sessions. One seek per session, however many replies it has.
Async<std::vector<SessionView>> list_sessions(Tenant tenant, std::size_t limit = 1000);
// Ids in byte order. One seek per entity, however large it is.
Async<std::vector<std::string>> list_entities(Tenant tenant, std::string type, ListOptions options);
// No default argument above: g++ 12 would destroy it twice in `co_await list_entities(tenant, type)`.
inline Async<std::vector<std::string>> list_entities(Tenant tenant, std::string type) {
  return list_entities(std::move(tenant), std::move(type), ListOptions());
}
Async<EntityView> inspect(Tenant tenant, EntityId id);
// The first `limit` waiting messages.
Async<std::vector<QueuedView>> peek_queue(Tenant tenant, EntityId id, std::size_t limit = 20);
Async<std::vector<DeadLetterView>> list_dead_letters(Tenant tenant, EntityId id,
                                                     std::size_t limit = 100);
// Puts at most `limit` of the entity's dead letters back at the end of its queue, in order. Calls
// are calls again, although their callers may be gone. Returns how many it moved. Changes the
// store, in as many transactions as that takes: on an error, or if it never returns, some may have
// been moved; call it again.
Async<std::uint64_t> redrive_dead_letters(Tenant tenant, EntityId id, std::size_t limit = 100);

// Unfinished work in the store, apart from the states of entities. All of it is zero once
// everything is done and every process has left; anything else was left behind.
struct Outstanding {
  std::uint64_t entities_with_work = 0;  // a host will look at them
  std::uint64_t sessions = 0;            // processes that wait for replies
  std::uint64_t replies = 0;             // not fetched yet
  std::uint64_t locks = 0;               // of entities with work
  std::uint64_t hosts = 0;
};
Async<Outstanding> count_outstanding(Tenant tenant);

}  // namespace semper
