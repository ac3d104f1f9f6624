// Any rows of an entity, and of what is around it: whoever looks at it gets an answer, a host that
// finds it neither ends nor stands still, and after a kill it is as good as new.
#include <memory>
#include <string>
#include <utility>

#include "fuzz/fuzz.h"
#include "semper/base/assert.h"
#include "semper/base/log.h"
#include "semper/env/random.h"
#include "semper/memory/memory.h"
#include "semper/server/host.h"
#include "semper/server/inspect.h"
#include "semper/server/recording.h"
#include "semper/server/ref.h"
#include "semper/testing/simulated_clock.h"
#include "semper/testing/simulated_run.h"
#include "server/format/keys.h"
#include "server/format/lease.h"
#include "server/format/orders.h"
#include "server/format/records.h"
#include "server/serve/announcement.h"

namespace semper::fuzz {
namespace {

using namespace std::chrono_literals;
using internal::EntityKeys;

// Simulated: after this a call stands still.
constexpr Duration kPatience = 10min;
// Stamps that a store has given before anything is done here.
constexpr std::uint64_t kStamps = 14;

struct Counter {
  using State = std::vector<std::int64_t>;
  struct Add {
    std::int64_t by = 1;
    using Reply = std::int64_t;
  };
  struct Hold {
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Add, Hold>;

  Result<State> init(const EntityId&) { return State{}; }
  Reply<std::int64_t> handle_call(const Add& add, State& state, Context&) {
    state.push_back(add.by);
    return static_cast<std::int64_t>(state.size());
  }
  void handle_cast(const Add& add, State& state, Context&) { state.push_back(add.by); }
  Reply<std::int64_t> handle_call(const Hold&, State&, Context&) { return lock(); }
  Reply<std::int64_t> handle_locked(const Hold&, State& state, LockedContext&) {
    state.push_back(0);
    return 0;
  }
};

const EntityId& home() {
  static const EntityId id{"Counter", "home"};
  return id;
}

// The key of a row by the octet in front of it, and by the next for those that there are many of.
Bytes key_of(BytesView prefix, std::uint8_t kind, std::uint8_t number) {
  const EntityKeys keys(prefix, home());
  const auto stamp = Versionstamp::complete(1 + number % kStamps, 0, number);
  const Bytes session = Bytes(15, 's') + static_cast<char>(number);
  switch (kind % 17) {
    case 0:
      return keys.order();
    case 1:
      return keys.pushed();
    case 2:
    case 3:
      return keys.queue_segment_at(stamp);
    case 4:
      return keys.chunk(number);
    case 5:
      return keys.lock_renewal();
    case 6:
      return keys.dead_letter_at(stamp);
    case 7:
      return keys.parked();
    case 8:
      return keys.once("source");
    case 9:
      return keys.announcement();
    case 10:
      return keys.index();
    case 11:
      return keys.wake();
    case 12:
      return internal::type_key(prefix, home().type);
    case 13:
      return internal::session_key(prefix, session);
    case 14:
      return internal::reply_key(prefix, session, number);
    case 15:
      return internal::host_key(prefix, session);
    default:
      return keys.header();
  }
}

Async<void> write_rows(Store store, BytesView prefix, BytesView input) {
  // Versions that no later stamp has.
  for (std::uint64_t i = 0; i < kStamps; ++i) {
    SEMPER_CO_TRY_STATUS(co_await store.transact([](Transaction& tx) -> Async<void> {
      tx.set("other", "x");
      co_return Status{};
    }));
  }
  co_return co_await store.transact([&](Transaction& tx) -> Async<void> {
    Parts parts(input);
    while (!parts.at_end()) {
      const std::uint8_t kind = parts.octet();
      const std::uint8_t number = parts.octet();
      tx.set(key_of(prefix, kind, number), parts.piece());
    }
    const EntityKeys keys(prefix, home());
    tx.set(keys.index(), "");
    co_return Status{};
  });
}

// All views, whatever they say.
Async<void> look(Tenant tenant) {
  const ListOptions every;
  static_cast<void>(co_await inspect(tenant, home()));
  static_cast<void>(co_await peek_queue(tenant, home()));
  static_cast<void>(co_await list_dead_letters(tenant, home()));
  static_cast<void>(co_await list_types(tenant));
  static_cast<void>(co_await list_hosts(tenant));
  static_cast<void>(co_await list_sessions(tenant));
  static_cast<void>(co_await list_entities(tenant, home().type, every));
  static_cast<void>(co_await count_outstanding(tenant));
  const RecordOptions all;
  const auto recording = co_await record_entity(tenant, home(), all);
  if (!recording) co_return Status{};
  const auto read = recording_from_text(recording_to_text(*recording));
  SEMPER_ASSERT(read && read->rows.size() == recording->rows.size(), "a recording can be read");
  for (std::size_t i = 0; i < read->rows.size(); ++i) {
    SEMPER_ASSERT(read->rows[i].key == recording->rows[i].key, "with its keys");
    SEMPER_ASSERT(read->rows[i].value == recording->rows[i].value, "and its values");
  }
  co_return Status{};
}

Async<void> serve(Tenant tenant) {
  const Ref<Counter> ref(tenant, home().id);
  HostOptions options;
  options.executor = co_await asio::this_coro::executor;
  Host host(tenant, options);
  host.serve<Counter>();
  SEMPER_CO_TRY_STATUS(co_await host.start());
  CallOptions wait;
  wait.timeout = 60s;
  const Counter::Add add{1};
  static_cast<void>(co_await ref.call(add, wait));
  static_cast<void>(co_await ref.cast(add));
  static_cast<void>(co_await redrive_dead_letters(tenant, home()));
  static_cast<void>(co_await ref.unlock());
  co_await look(tenant);
  const Status killed = co_await ref.kill();
  SEMPER_ASSERT(killed || killed.error().kind() == ErrorKind::not_found,
                "a kill gets through whatever there is");
  wait.timeout = kPatience;
  const auto first = co_await ref.call(add, wait);
  SEMPER_ASSERT(first.has_value(), "after a kill it works");
  SEMPER_ASSERT(*first == 1, "and begins anew");
  co_return co_await host.stop();
}

Async<void> live(BytesView input, Env env) {
  StoreUrl url;
  url.scheme = "memory";
  SEMPER_CO_TRY(const auto backend, co_await open_memory(url, env));
  const Store store(backend, env);
  const Tenant tenant(store);
  SEMPER_CO_TRY_STATUS(co_await write_rows(store, tenant.prefix(), input));
  SEMPER_CO_TRY_STATUS(co_await look(tenant));
  SEMPER_CO_TRY_STATUS(co_await serve(tenant));
  co_return co_await backend->close();
}

void append_row(Bytes& out, std::uint8_t kind, std::uint8_t number, BytesView value) {
  out.push_back(static_cast<char>(kind));
  out.push_back(static_cast<char>(number));
  append_piece(out, value);
}

}  // namespace

std::vector<Bytes> seeds() {
  internal::Header header;
  header.stamp = Versionstamp::complete(3, 0, 0);
  header.popped = 5;
  header.has_state = true;
  header.state = encode(Counter::State{1, 2});
  const Bytes here = header.encode();
  header.head_offset = 1;
  header.lock = internal::LockRecord{7, "host", 5};
  header.state.clear();
  header.chunks = 2;
  const Bytes in_chunks = header.encode();
  internal::SegmentWriter segment;
  const Bytes session = Bytes(15, 's') + '\x01';
  segment.add(Event::call, {"Add", encode(Counter::Add{5})}, {session, 42});
  segment.add(Event::cast, {"Add", encode(Counter::Add{6})}, {});
  segment.add(Event::call, {"Hold", encode(Counter::Hold{})}, {session, 43});
  const Bytes queue = segment.finish();
  Bytes count;
  append_little_endian_u64(count, 8);
  internal::LockRenewal renewal;
  renewal.renewals = 3;
  renewal.lease = 5s;
  internal::Announcement announcement;
  announcement.place.segment = Versionstamp::complete(2, 0, 1);
  announcement.popped = 5;
  announcement.until = 6;
  announcement.runs = 2;
  internal::Order reset;
  reset.kind = internal::Order::Kind::reset;
  reset.stamp = Versionstamp::complete(9, 0, 0);
  internal::Order kill;
  kill.stamp = Versionstamp::complete(9, 0, 0);
  const internal::QueuedMessage letter{Event::call, {"Add", encode(Counter::Add{5})}, {session, 1}};

  Bytes plain;
  append_row(plain, 16, 0, here);
  append_row(plain, 1, 0, count);
  append_row(plain, 2, 1, queue);
  append_row(plain, 6, 2, internal::encode_dead_letter({letter, "it threw", 1500}));
  append_row(plain, 13, 1, internal::encode_alive({"caller", 3, 1500, {}, 5'000}));
  Bytes locked;
  append_row(locked, 16, 0, in_chunks);
  append_row(locked, 4, 0, BytesView(header.encode()).substr(0, 2));
  append_row(locked, 4, 1, "\x01\x02");
  append_row(locked, 5, 0, renewal.encode());
  append_row(locked, 2, 1, queue);
  append_row(locked, 9, 0, announcement.encode());
  append_row(locked, 15, 3, internal::encode_alive({"host", 3, 1500, {"Counter"}, 5'000}));
  Bytes ordered;
  append_row(ordered, 0, 0, kill.encode());
  append_row(ordered, 2, 1, queue);
  append_row(ordered, 2, 12, queue);
  append_row(ordered, 1, 0, count);
  Bytes parked;
  append_row(parked, 0, 0, reset.encode());
  append_row(parked, 16, 0, here);
  append_row(parked, 7, 0, internal::ParkedNote{"why", Bytes(header.stamp.bytes())}.encode());
  append_row(parked, 12, 0, internal::encode_message_infos({{"Add", true, true, false, false}}));
  append_row(parked, 14, 1, internal::encode_reply("\x01"));
  return {plain, locked, ordered, parked};
}

void check(BytesView input) {
  set_log_level(LogLevel::off);
  semper::testing::SimulatedClock clock;
  SeededRandom random(1);
  const Status lived = semper::testing::simulated_run(clock, live(input, {&clock, &random}));
  SEMPER_ASSERT(lived.has_value(), "a store in memory fails nobody");
}

}  // namespace semper::fuzz
