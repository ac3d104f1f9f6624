#include "checker.h"

#include "snapshot.h"

namespace semper::foundationdb {
namespace {

// Above every key that a store can have.
constexpr char kPastAllKeys = '\xff';
constexpr std::size_t kPastAllKeysBytes = 16;

struct Read {
  std::uint64_t keys = 0;
  std::uint64_t bytes = 0;
};

// One page from the front of `rest`, which is moved past it. False: that was the last.
Async<bool> read_page(std::shared_ptr<Connection> connection, KeyRange& rest, Read& read) {
  SEMPER_CO_TRY(auto snapshot, co_await FdbSnapshot::open(connection));
  const PageRequest request{rest, kCheckPageRows, Order::ascending};
  SEMPER_CO_TRY(const RangePage page, co_await snapshot->get_range(request));
  for (const auto& row : page.rows) read.bytes += row.key.size() + row.value.size();
  read.keys += page.rows.size();
  if (page.more) rest.begin = key_after(page.rows.back().key);
  co_return page.more;
}

}  // namespace

Async<std::string> read_everything(std::shared_ptr<Connection> connection) {
  KeyRange rest{"", Bytes(kPastAllKeysBytes, kPastAllKeys)};
  Read read;
  int failures = 0;
  for (bool more = true; more;) {
    auto page = co_await read_page(connection, rest, read);
    if (page) {
      more = *page;
      failures = 0;
    } else if (++failures == kCheckAttempts || page.error().kind() == ErrorKind::closed) {
      co_return fail(page.error());
    }
  }
  co_return std::to_string(read.keys) + " keys with " + std::to_string(read.bytes) +
      " bytes were read from " + connection->database->name() +
      "; whether its replicas agree is for fdbserver's consistency check (role consistencycheck)";
}

}  // namespace semper::foundationdb
