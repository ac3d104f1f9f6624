// The examples of include/semper/store, as they stand in its headers.
// clang-format off
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "semper/open_store.h"
#include "semper/store/backup.h"
#include "semper/store/big_integer.h"
#include "semper/store/directory.h"
#include "semper/store/keys.h"
#include "semper/store/limits.h"
#include "semper/store/neighbours.h"
#include "semper/store/store.h"
#include "semper/store/store_url.h"
#include "semper/store/subspace.h"
#include "semper/store/too_old.h"
#include "semper/store/transact_options.h"
#include "semper/store/transaction.h"
#include "semper/store/tuple.h"
#include "semper/store/tuple_stream.h"
#include "semper/store/uuid.h"
#include "semper/store/versionstamp.h"

using semper::Bytes;
using semper::BytesView;

semper::Task<void> opened() {
  auto store = co_await semper::open_store("sqlite:./data.db");
}

void keys() {
  using namespace semper;
  const auto one = KeyRange::point("a");       // the key "a" alone
  const KeyRange some{"a", "b"};               // "a" <= key < "b"
}

void big() {
  auto big = semper::BigInteger::from_string("-340282366920938463463374607431768211456").value();
  big.to_int64();                          // std::nullopt
  semper::BigInteger(7).to_string();       // "7"
}

semper::Async<void> directories(semper::Env env, const semper::Store& store,
                                semper::Transaction& tx) {
  semper::DirectoryLayer directories(env);
  auto users = co_await store.transact([&](semper::Transaction& tx) {
    return directories.create_or_open(tx, {"tenants", "ann", "users"});
  });
  tx.set(users->contents.pack({42, "name"}), "Ann");
  co_return semper::Status{};
}

void show(std::uint64_t bytes);
void progress() {
  semper::BackupOptions options;
  options.on_progress = [](const semper::BackupProgress& now) { show(now.done_bytes); };
}

semper::Status url() {
  SEMPER_TRY(const auto url, semper::StoreUrl::parse("sqlite:/var/lib/app?mode=ro"));
  SEMPER_TRY_STATUS(url.allow_only({"mode", "vfs"}));
  return {};
}

void commit_now();
void limits(const semper::Store& store, std::size_t batch_bytes, const Bytes& next) {
  if (batch_bytes + next.size() > store.limits().transaction_bytes / 2) commit_now();
}

semper::Async<void> used(std::string key) {
  SEMPER_CO_TRY(auto store, co_await semper::open_store("sqlite:./data.db"));
  auto read = [](semper::Transaction& tx, const std::string& key) -> semper::Async<bool> {
    SEMPER_CO_TRY(const auto value, co_await tx.get(key));
    co_return value.has_value();
  };
  SEMPER_CO_TRY(const bool there, co_await store.transact(read, key));
  SEMPER_CO_TRY_STATUS(co_await store.close());
  co_return semper::Status{};
}

semper::Async<void> counted(const semper::Store& store, std::string key) {
  auto count = [](semper::Transaction& tx, const std::string& key) -> semper::Async<void> {
    tx.add(key, 1);
    co_return semper::Status{};
  };
  SEMPER_CO_TRY_STATUS(co_await store.transact(count, key));
  co_return semper::Status{};
}

semper::Async<void> subspaces(semper::Transaction& tx) {
  const semper::Subspace users(semper::Tuple{"users"});
  tx.set(users.pack({42, "name"}), "Ann");
  auto rows = co_await tx.get_range(users[42].range());          // all about user 42
  auto field = users.unpack(rows->rows[0].key);                  // (42, "name")
  co_return semper::Status{};
}

void start_another();
semper::Task<void> too_old(semper::Transaction& transaction, std::string key) {
  auto value = co_await transaction.get(key);
  if (!value && semper::is_too_old(value.error())) start_another();   // nothing was applied
}

semper::Async<void> change(semper::Transaction& tx);
semper::Task<void> options(const semper::Store& store) {
  semper::TransactOptions options;
  options.timeout = std::chrono::seconds(5);
  auto done = co_await store.transact(change, options);
}

std::int64_t parse(const std::optional<Bytes>& text);
std::string format(std::int64_t number);
semper::Task<void> transacted(const semper::Store& store) {
  auto pay = [](semper::Transaction& tx) -> semper::Async<std::int64_t> {
    SEMPER_CO_TRY(auto old, co_await tx.get("balance/ann"));
    const auto balance = parse(old);
    tx.set("balance/ann", format(balance - 10));
    tx.add("transfers", 1);
    co_return balance - 10;
  };
  auto left = co_await store.transact(pay);
}

void tuples(semper::Transaction& tx, BytesView value, BytesView bytes) {
  semper::Tuple key{"users", 42, semper::Versionstamp::incomplete(0)};
  tx.set(semper::Tuple{"users", 42}.pack(), value);
  auto back = semper::Tuple::unpack(bytes);                  // Result<Tuple>
  auto id = back->get<std::int64_t>(1);                      // Result<std::int64_t>
}

namespace stream {
using namespace semper;
Status example(const Bytes& prefix, int shard, std::uint16_t n, BytesView key_after_prefix,
               Bytes& scratch) {
  Bytes key = prefix;                                       // keep and clear() it: no allocation
  TupleWriter(key).add_text("queue").add(shard).add(Versionstamp::incomplete(n));
  {
    TupleReader reader(key_after_prefix);
    SEMPER_TRY(auto name, reader.read_text(scratch));         // a view into the key, if no escapes
    SEMPER_TRY(auto shard, reader.read_int64());
    SEMPER_TRY(auto stamp, reader.read_versionstamp());
    SEMPER_TRY_STATUS(reader.expect_end());
  }
  return {};
}
}  // namespace stream

void stamps() {
  auto id = semper::Uuid::from_string("00112233-4455-6677-8899-aabbccddeeff").value();
  auto first = semper::Versionstamp::complete(12, 0, 7);   // version, batch order, user version
  first.to_string();                                       // "000000000000000c-0000-0007"
  auto to_fill = semper::Versionstamp::incomplete(7);      // the store fills it at commit
}

namespace neighbours {
using namespace semper;
struct MyAnswers : NeighbourReceiver {
  void on_message(Bytes message) override;
  void on_end(const Error& why) override;
};
struct MyReceiver final : MyAnswers {
  explicit MyReceiver(std::shared_ptr<NeighbourLink> link) : link_(std::move(link)) {}
  std::shared_ptr<NeighbourLink> link_;
};
void talk(Neighbours& neighbours) {
  auto heard = neighbours.listen("greetings", [](std::shared_ptr<NeighbourLink> link) {
    return std::make_shared<MyReceiver>(std::move(link));
  });
  // In another process:
  auto link = neighbours.connect("greetings", std::make_shared<MyAnswers>());
  auto said = (*link)->send("hello");
}
}  // namespace neighbours
