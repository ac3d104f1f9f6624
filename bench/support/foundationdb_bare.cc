#include "foundationdb_bare.h"

#include <dlfcn.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <thread>
#include <utility>

namespace semper::bench {
namespace {

using Steady = std::chrono::steady_clock;
using Byte = std::uint8_t;

struct Future;
struct Database;
struct Transaction;
#pragma pack(push, 4)
struct Row {
  const Byte* key;
  int key_length;
  const Byte* value;
  int value_length;
};
#pragma pack(pop)

constexpr int kStreamAll = -2;
constexpr int kAdd = 2;
constexpr int kStampKey = 14;
constexpr int kStampValue = 15;
constexpr int kReadConflict = 0;
constexpr char kPrefix[] = "semper-bench-bare/";
constexpr std::size_t kStampBytes = 10;

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "bench: %s\n", why.c_str());
  std::exit(1);
}

const Byte* data_of(const std::string& text) {
  return reinterpret_cast<const Byte*>(text.data());
}

int length_of(const std::string& text) {
  return static_cast<int>(text.size());
}

std::string number_key(std::uint64_t number) {
  char text[24];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(number));
  return text;
}

// A value or key with a stamp at `offset`, as FoundationDB wants to be told of it.
std::string stamped(std::string text, std::size_t offset) {
  for (int shift = 0; shift < 32; shift += 8) text.push_back(static_cast<char>(offset >> shift));
  return text;
}

}  // namespace

struct BareFdb::Impl {
  explicit Impl(const std::string& library) : name(library.empty() ? "libfdb_c.so" : library) {
    handle = ::dlopen(name.c_str(), RTLD_NOW | RTLD_NOLOAD);
    if (handle == nullptr) give_up(name + " is not loaded: open an fdb: store first");
  }

  template <class Function>
  void find(Function*& function, const char* symbol) const {
    function = reinterpret_cast<Function*>(::dlsym(handle, symbol));
    if (function == nullptr) give_up(name + " has no " + symbol);
  }

  void find_all() {
    find(create_database, "fdb_create_database");
    find(database_destroy, "fdb_database_destroy");
    find(begin, "fdb_database_create_transaction");
    find(end, "fdb_transaction_destroy");
    find(get_range, "fdb_transaction_get_range");
    find(set, "fdb_transaction_set");
    find(clear, "fdb_transaction_clear");
    find(clear_range, "fdb_transaction_clear_range");
    find(atomic, "fdb_transaction_atomic_op");
    find(conflict, "fdb_transaction_add_conflict_range");
    find(commit, "fdb_transaction_commit");
    find(on_error, "fdb_transaction_on_error");
    find(block, "fdb_future_block_until_ready");
    find(error, "fdb_future_get_error");
    find(rows, "fdb_future_get_keyvalue_array");
    find(destroy, "fdb_future_destroy");
  }

  // Waits for the future; its error.
  int wait(Future* future) const {
    const int blocked = block(future);
    return blocked != 0 ? blocked : error(future);
  }
  int finish(Future* future) const {
    const int code = wait(future);
    destroy(future);
    return code;
  }

  // The usual loop: again until it is committed.
  void transact(const std::function<int(Transaction*)>& work) const {
    Transaction* transaction = nullptr;
    if (begin(database, &transaction) != 0) give_up("no transaction");
    while (true) {
      int code = work(transaction);
      if (code == 0) code = finish(commit(transaction));
      if (code == 0) break;
      if (finish(on_error(transaction, code)) != 0) {
        give_up("bare FoundationDB: error " + std::to_string(code));
      }
    }
    end(transaction);
  }

  Future* read(Transaction* transaction, const std::string& from, const std::string& to,
               int limit) const {
    return get_range(transaction, data_of(from), length_of(from), 0, 1, data_of(to), length_of(to),
                     0, 1, limit, 0, kStreamAll, 0, 1, 0);
  }
  void put(Transaction* transaction, const std::string& key, const std::string& value) const {
    set(transaction, data_of(key), length_of(key), data_of(value), length_of(value));
  }
  void remove(Transaction* transaction, const std::string& key) const {
    clear(transaction, data_of(key), length_of(key));
  }
  void change(Transaction* transaction, const std::string& key, const std::string& value,
              int type) const {
    atomic(transaction, data_of(key), length_of(key), data_of(value), length_of(value), type);
  }
  void check(Transaction* transaction, const std::string& key) const {
    const std::string past = key + '\0';
    static_cast<void>(conflict(transaction, data_of(key), length_of(key), data_of(past),
                               length_of(past), kReadConflict));
  }

  const std::string name;
  void* handle = nullptr;
  Database* database = nullptr;

  int (*create_database)(const char*, Database**) = nullptr;
  void (*database_destroy)(Database*) = nullptr;
  int (*begin)(Database*, Transaction**) = nullptr;
  void (*end)(Transaction*) = nullptr;
  Future* (*get_range)(Transaction*, const Byte*, int, int, int, const Byte*, int, int, int, int,
                       int, int, int, int, int) = nullptr;
  void (*set)(Transaction*, const Byte*, int, const Byte*, int) = nullptr;
  void (*clear)(Transaction*, const Byte*, int) = nullptr;
  void (*clear_range)(Transaction*, const Byte*, int, const Byte*, int) = nullptr;
  void (*atomic)(Transaction*, const Byte*, int, const Byte*, int, int) = nullptr;
  int (*conflict)(Transaction*, const Byte*, int, const Byte*, int, int) = nullptr;
  Future* (*commit)(Transaction*) = nullptr;
  Future* (*on_error)(Transaction*, int) = nullptr;
  int (*block)(Future*) = nullptr;
  int (*error)(Future*) = nullptr;
  int (*rows)(Future*, const Row**, int*, int*) = nullptr;
  void (*destroy)(Future*) = nullptr;
};

BareFdb::BareFdb(const std::string& library, const std::string& cluster_file)
    : impl_(std::make_unique<Impl>(library)) {
  impl_->find_all();
  if (impl_->create_database(cluster_file.c_str(), &impl_->database) != 0) {
    give_up("bare FoundationDB cannot open " + cluster_file);
  }
}

BareFdb::~BareFdb() {
  clear(kPrefix);
  impl_->database_destroy(impl_->database);
}

void BareFdb::clear(const std::string& prefix) {
  const std::string past = prefix + '\xff';
  impl_->transact([&](Transaction* transaction) {
    impl_->clear_range(transaction, data_of(prefix), length_of(prefix), data_of(past),
                       length_of(past));
    return 0;
  });
}

std::vector<double> BareFdb::calls(double seconds) {
  const Impl& fdb = *impl_;
  const std::string entity = std::string(kPrefix) + "entity/";
  const std::string header = entity + "header";
  const std::string counter = entity + "pushed";
  const std::string record(60, 'r');
  std::vector<double> latencies;
  const auto start = Steady::now();
  for (std::uint64_t n = 0; std::chrono::duration<double>(Steady::now() - start).count() < seconds;
       ++n) {
    const auto began = Steady::now();
    fdb.transact([&](Transaction* transaction) {
      Future* read = fdb.read(transaction, entity, entity + '\xff', 66);
      const int code = fdb.finish(read);
      if (code != 0) return code;
      const std::string marker = kPrefix + ("marker/" + number_key(n));
      fdb.check(transaction, header);
      fdb.check(transaction, counter);
      fdb.check(transaction, marker);
      fdb.change(transaction, header, stamped(record, 0), kStampValue);
      fdb.change(transaction, marker, stamped(std::string(kStampBytes + 1, 'c'), 0), kStampValue);
      if (n > 0) fdb.remove(transaction, kPrefix + ("marker/" + number_key(n - 1)));
      return 0;
    });
    latencies.push_back(std::chrono::duration<double, std::micro>(Steady::now() - began).count());
  }
  return latencies;
}

double BareFdb::messages_per_second(int publishers, double seconds) {
  const Impl& fdb = *impl_;
  const std::string queue = std::string(kPrefix) + "queue/";
  const std::string state = std::string(kPrefix) + "state";
  const std::string pushed = std::string(kPrefix) + "pushed";
  const std::string payload(100, 'm');
  const std::string one("\1\0\0\0\0\0\0\0", 8);
  std::atomic<bool> over = false;
  std::vector<std::thread> threads;
  for (int i = 0; i < publishers; ++i) {
    threads.emplace_back([&] {
      while (!over) {
        fdb.transact([&](Transaction* transaction) {
          const std::string key = queue + std::string(kStampBytes, '\0');
          fdb.change(transaction, stamped(key, queue.size()), payload, kStampKey);
          fdb.change(transaction, pushed, one, kAdd);
          return 0;
        });
      }
    });
  }
  std::uint64_t consumed = 0;
  const auto start = Steady::now();
  while (std::chrono::duration<double>(Steady::now() - start).count() < seconds) {
    bool found = false;
    fdb.transact([&](Transaction* transaction) {
      Future* read = fdb.read(transaction, queue, queue + '\xff', 1);
      const int code = fdb.wait(read);
      const Row* rows = nullptr;
      int count = 0;
      int more = 0;
      found = code == 0 && fdb.rows(read, &rows, &count, &more) == 0 && count > 0;
      if (found) {
        fdb.check(transaction, state);
        fdb.clear(transaction, rows[0].key, rows[0].key_length);
        fdb.put(transaction, state, std::to_string(consumed));
      }
      fdb.destroy(read);
      return code;
    });
    consumed += found ? 1 : 0;
  }
  const double took = std::chrono::duration<double>(Steady::now() - start).count();
  over = true;
  for (auto& thread : threads) thread.join();
  clear(kPrefix);
  return static_cast<double>(consumed) / took;
}

}  // namespace semper::bench
