// The C functions of a FakeFdb.
#include <stdexcept>
#include <utility>

#include "errors.h"
#include "fake_fdb_objects_test_support.h"

namespace semper::foundationdb {
namespace {

constexpr BytesView kTenantMap = "\xff\xff/management/tenant/map/";
constexpr BytesView kOldTenantMap = "\xff\xff/management/tenant_map/";

FakeFdb& fake() {
  return FakeFdb::current();
}

Bytes bytes_of(const std::uint8_t* data, int length) {
  return {reinterpret_cast<const char*>(data), static_cast<std::size_t>(length)};
}

const std::uint8_t* data_of(const Bytes& bytes) {
  return reinterpret_cast<const std::uint8_t*>(bytes.data());
}

// The name of a tenant out of its management key; empty for other keys.
std::string tenant_of(BytesView key) {
  for (const BytesView map : {kTenantMap, kOldTenantMap}) {
    if (key.starts_with(map)) return std::string(key.substr(map.size()));
  }
  return "";
}

}  // namespace

struct FakeCalls {
  static int get_max_api_version() { return kApiVersionMaximum; }
  static int get_max_api_version_of_6_3() { return kApiVersionMinimum; }
  static FdbError select_api_version(int runtime, int header) {
    if (runtime > header || header > kApiVersionMaximum) return 2203;
    std::lock_guard lock(fake().mutex_);
    fake().counts_.api_versions.push_back(runtime);
    return 0;
  }
  static FdbError setup_network() { return 0; }
  static FdbError run_network() {
    fake().run();
    return 0;
  }
  static FdbError stop_network() {
    fake().stop();
    return 0;
  }
  static const char* get_error(FdbError) { return "FoundationDB's own words"; }
  static FdbBool error_predicate(int which, FdbError code) {
    static const std::set<FdbError> passing = {
        code::kNotCommitted,     code::kTransactionTooOld,      code::kFutureVersion,
        code::kDatabaseLocked,   code::kProcessBehind,          code::kBatchThrottled,
        code::kTagThrottled,     code::kCommitProxyMemoryLimit, code::kGrvProxyMemoryLimit,
        code::kProxyTagThrottled};
    return which == predicate::kRetryableNotCommitted && passing.contains(code) ? 1 : 0;
  }

  static FdbError future_set_callback(FdbFuture* future, FdbCallback callback, void* parameter) {
    {
      std::lock_guard lock(future->mutex);
      if (!future->ready) {
        future->callback = callback;
        future->parameter = parameter;
        return 0;
      }
    }
    callback(future, parameter);
    return 0;
  }
  static FdbError future_get_error(FdbFuture* future) {
    std::lock_guard lock(future->mutex);
    return future->ready ? future->code : 2015;
  }
  static FdbError future_get_int64(FdbFuture* future, std::int64_t* out) {
    *out = future->number;
    return future_get_error(future);
  }
  static FdbError future_get_key(FdbFuture* future, const std::uint8_t** key, int* length) {
    *key = data_of(future->key);
    *length = static_cast<int>(future->key.size());
    return future_get_error(future);
  }
  static FdbError future_get_value(FdbFuture* future, FdbBool* present, const std::uint8_t** value,
                                   int* length) {
    *present = future->value ? 1 : 0;
    if (future->value) {
      *value = data_of(*future->value);
      *length = static_cast<int>(future->value->size());
    }
    return future_get_error(future);
  }
  static FdbError future_get_keyvalue_array(FdbFuture* future, const FdbKeyValue** rows, int* count,
                                            FdbBool* more) {
    future->rows.clear();
    for (const auto& row : future->page.rows) {
      future->rows.push_back({data_of(row.key), static_cast<int>(row.key.size()),
                              data_of(row.value), static_cast<int>(row.value.size())});
    }
    *rows = future->rows.data();
    *count = static_cast<int>(future->rows.size());
    *more = future->page.more ? 1 : 0;
    return future_get_error(future);
  }
  // Ready on the network thread, as the real one.
  static void future_cancel(FdbFuture* future) {
    {
      std::lock_guard lock(future->fdb.mutex_);
      std::erase_if(future->fdb.watching_, [&](const auto& one) { return one.future == future; });
    }
    future->fdb.post([future] { future->complete(code::kOperationCancelled); });
  }
  static void future_destroy(FdbFuture* future) {
    std::lock_guard lock(future->fdb.mutex_);
    if (std::exchange(future->destroyed, true)) throw std::logic_error("destroyed twice");
    --future->fdb.counts_.futures;
  }
  static FdbFuture* make_future(FakeFdb& fdb) {
    ++fdb.counts_.futures;
    // Never freed: a few bytes for each, and no question who may still know it.
    static auto& all = *new std::deque<std::unique_ptr<FdbFuture>>();
    return all.emplace_back(std::make_unique<FdbFuture>(fdb)).get();
  }

  // What a test leaves behind on purpose is no leak to a sanitizer while something points to it.
  template <class T>
  static T* keep_reachable(T* made) {
    static auto& all = *new std::vector<const void*>();
    all.push_back(made);
    return made;
  }

  static FdbError create_database(const char*, FdbDatabase** out) {
    std::lock_guard lock(fake().mutex_);
    ++fake().counts_.databases;
    *out = keep_reachable(new FdbDatabase{fake()});
    return 0;
  }
  static void database_destroy(FdbDatabase* database) {
    std::lock_guard lock(database->fdb.mutex_);
    --database->fdb.counts_.databases;
    delete database;
  }
  static FdbError database_set_option(FdbDatabase*, int option, const std::uint8_t*, int length) {
    return option == option::kMaxWatches && length == 8 ? 0 : 2007;
  }
  static FdbError database_create_transaction(FdbDatabase* database, FdbTransaction** out) {
    return create(database->fdb, out, "");
  }
  static FdbError database_open_tenant(FdbDatabase* database, const std::uint8_t* name, int length,
                                       FdbTenant** out) {
    std::lock_guard lock(database->fdb.mutex_);
    ++database->fdb.counts_.tenants;
    *out = new FdbTenant{database->fdb, bytes_of(name, length)};
    return 0;
  }
  static FdbError tenant_create_transaction(FdbTenant* tenant, FdbTransaction** out) {
    return create(tenant->fdb, out, tenant->name);
  }
  static void tenant_destroy(FdbTenant* tenant) {
    std::lock_guard lock(tenant->fdb.mutex_);
    --tenant->fdb.counts_.tenants;
    delete tenant;
  }
  static FdbError create(FakeFdb& fdb, FdbTransaction** out, const std::string& tenant) {
    std::lock_guard lock(fdb.mutex_);
    ++fdb.counts_.transactions;
    *out = keep_reachable(new FdbTransaction(fdb));
    (*out)->tenant = tenant;
    return 0;
  }
  static void transaction_destroy(FdbTransaction* transaction) {
    std::lock_guard lock(transaction->fdb.mutex_);
    --transaction->fdb.counts_.transactions;
    delete transaction;
  }
  static FdbError transaction_set_option(FdbTransaction* transaction, int option,
                                         const std::uint8_t* value, int length) {
    if (option == option::kTimeout && length == 8) {
      transaction->timeout_ms =
          static_cast<std::int64_t>(load_little_endian_u64(bytes_of(value, length)));
      return 0;
    }
    if (option == option::kSpecialKeySpaceEnableWrites) transaction->special_writes = true;
    return length == 0 ? 0 : 2006;
  }
  static void transaction_set_read_version(FdbTransaction* transaction, std::int64_t version) {
    transaction->read_version = static_cast<Version>(version);
  }
  static FdbFuture* transaction_get_read_version(FdbTransaction* transaction) {
    std::lock_guard lock(transaction->fdb.mutex_);
    FdbFuture* future = make_future(transaction->fdb);
    transaction->fdb.begin_call(
        *transaction, Call::get_read_version, *future, [transaction, future] {
          {
            std::lock_guard held(transaction->fdb.mutex_);
            future->number =
                static_cast<std::int64_t>(transaction->fdb.map_of(transaction->tenant).version());
            transaction->read_version = static_cast<Version>(future->number);
          }
          future->complete(0);
        });
    return future;
  }
  // With the mutex held: the version to read at, or 0 with a code.
  static FdbError read_version(FdbTransaction& transaction, Version& version) {
    auto& map = transaction.fdb.map_of(transaction.tenant);
    if (!transaction.read_version) transaction.read_version = map.version();
    version = *transaction.read_version;
    return version < transaction.fdb.oldest_ ? code::kTransactionTooOld : 0;
  }
  static FdbFuture* transaction_get(FdbTransaction* transaction, const std::uint8_t* key,
                                    int length, FdbBool) {
    std::lock_guard lock(transaction->fdb.mutex_);
    FdbFuture* future = make_future(transaction->fdb);
    transaction->fdb.begin_call(
        *transaction, Call::get, *future, [transaction, future, wanted = bytes_of(key, length)] {
          FdbError code = 0;
          {
            std::lock_guard held(transaction->fdb.mutex_);
            Version version = 0;
            code = read_version(*transaction, version);
            const auto tenant = tenant_of(wanted);
            if (!tenant.empty()) {
              if (transaction->fdb.counts_.tenant_names.contains(tenant)) future->value = "{}";
            } else if (code == 0) {
              future->value = transaction->fdb.map_of(transaction->tenant).get(wanted, version);
            }
          }
          future->complete(code);
        });
    return future;
  }
  static FdbFuture* transaction_get_range(FdbTransaction* transaction, const std::uint8_t* begin,
                                          int begin_length, FdbBool begin_or_equal,
                                          int begin_offset, const std::uint8_t* end, int end_length,
                                          FdbBool end_or_equal, int end_offset, int limit, int, int,
                                          int, FdbBool, FdbBool reverse) {
    if (begin_or_equal != 0 || begin_offset != 1 || end_or_equal != 0 || end_offset != 1) {
      throw std::logic_error("the fake knows the selectors of plain ranges only");
    }
    const PageRequest request({bytes_of(begin, begin_length), bytes_of(end, end_length)},
                              static_cast<std::size_t>(limit),
                              reverse != 0 ? Order::descending : Order::ascending);
    std::lock_guard lock(transaction->fdb.mutex_);
    FdbFuture* future = make_future(transaction->fdb);
    transaction->fdb.begin_call(
        *transaction, Call::get_range, *future, [transaction, future, request] {
          FdbError code = 0;
          {
            std::lock_guard held(transaction->fdb.mutex_);
            Version version = 0;
            code = read_version(*transaction, version);
            if (code == 0) {
              future->page =
                  transaction->fdb.map_of(transaction->tenant).get_range(request, version);
            }
          }
          future->complete(code);
        });
    return future;
  }
  static void add(FdbTransaction* transaction, Mutation::Type type, Bytes key, Bytes value) {
    const auto tenant = tenant_of(key);
    if (!tenant.empty()) return transaction->new_tenants.push_back(tenant);
    Mutation mutation{type, std::move(key), std::move(value), 0};
    const auto take_offset = [&](Bytes& from) {
      const BytesView tail = BytesView(from).substr(from.size() - 4);
      mutation.stamp_offset = load_little_endian_u32(tail);
      from.resize(from.size() - 4);
    };
    if (type == Mutation::Type::set_versionstamped_key) take_offset(mutation.key);
    if (type == Mutation::Type::set_versionstamped_value) take_offset(mutation.value);
    transaction->request.mutations.push_back(std::move(mutation));
  }
  static void transaction_set(FdbTransaction* transaction, const std::uint8_t* key, int length,
                              const std::uint8_t* value, int value_length) {
    add(transaction, Mutation::Type::set, bytes_of(key, length), bytes_of(value, value_length));
  }
  static void transaction_clear(FdbTransaction* transaction, const std::uint8_t* key, int length) {
    add(transaction, Mutation::Type::clear, bytes_of(key, length), {});
  }
  static void transaction_clear_range(FdbTransaction* transaction, const std::uint8_t* begin,
                                      int begin_length, const std::uint8_t* end, int end_length) {
    add(transaction, Mutation::Type::clear_range, bytes_of(begin, begin_length),
        bytes_of(end, end_length));
  }
  static void transaction_atomic_op(FdbTransaction* transaction, const std::uint8_t* key,
                                    int length, const std::uint8_t* operand, int operand_length,
                                    int type) {
    const auto as = type == mutation_type::kAdd ? Mutation::Type::add
                    : type == mutation_type::kSetVersionstampedKey
                        ? Mutation::Type::set_versionstamped_key
                        : Mutation::Type::set_versionstamped_value;
    add(transaction, as, bytes_of(key, length), bytes_of(operand, operand_length));
  }
  static FdbError transaction_add_conflict_range(FdbTransaction* transaction,
                                                 const std::uint8_t* begin, int begin_length,
                                                 const std::uint8_t* end, int end_length,
                                                 int type) {
    KeyRange range{bytes_of(begin, begin_length), bytes_of(end, end_length)};
    if (range.end < range.begin) return 2005;
    if (type == conflict_range::kWrite) {
      transaction->request.write_conflicts.push_back(std::move(range));
      return 0;
    }
    transaction->request.reads.push_back({std::move(range), ReadRecord::kRowsUnknown});
    std::lock_guard lock(transaction->fdb.mutex_);
    ++transaction->fdb.counts_.conflict_ranges_read;
    return 0;
  }
  static FdbFuture* transaction_watch(FdbTransaction* transaction, const std::uint8_t* key,
                                      int length) {
    std::lock_guard lock(transaction->fdb.mutex_);
    ++transaction->fdb.counts_.calls[Call::watch];
    FdbFuture* future = make_future(transaction->fdb);
    const FdbError code = transaction->fdb.next_failure(Call::watch);
    if (code != 0) {
      transaction->fdb.work_.push_back([future, code] { future->complete(code); });
      transaction->fdb.changed_.notify_all();
    } else {
      transaction->watches.emplace_back(bytes_of(key, length), future);
    }
    return future;
  }
  static FdbFuture* transaction_get_versionstamp(FdbTransaction* transaction) {
    std::lock_guard lock(transaction->fdb.mutex_);
    transaction->versionstamp = make_future(transaction->fdb);
    return transaction->versionstamp;
  }
  static FdbFuture* transaction_commit(FdbTransaction* transaction) {
    std::lock_guard lock(transaction->fdb.mutex_);
    FdbFuture* future = make_future(transaction->fdb);
    transaction->fdb.begin_call(*transaction, Call::commit, *future, [transaction, future] {
      transaction->fdb.commit(*transaction, *future);
    });
    return future;
  }
  static FdbFuture* transaction_on_error(FdbTransaction* transaction, FdbError code) {
    std::lock_guard lock(transaction->fdb.mutex_);
    FdbFuture* future = make_future(transaction->fdb);
    transaction->reset();
    const bool again = error_predicate(predicate::kRetryableNotCommitted, code) != 0 ||
                       code == code::kCommitUnknownResult || code == code::kClusterVersionChanged;
    transaction->fdb.begin_call(*transaction, Call::on_error, *future,
                                [future, code, again] { future->complete(again ? 0 : code); });
    return future;
  }
};

FdbApi FakeFdb::api(int newest) {
  FdbApi api{};
  const bool old = newest < kApiVersionOfTenants;
  api.get_max_api_version =
      old ? FakeCalls::get_max_api_version_of_6_3 : FakeCalls::get_max_api_version;
  api.select_api_version = FakeCalls::select_api_version;
  api.setup_network = FakeCalls::setup_network;
  api.run_network = FakeCalls::run_network;
  api.stop_network = FakeCalls::stop_network;
  api.get_error = FakeCalls::get_error;
  api.error_predicate = FakeCalls::error_predicate;
  api.future_set_callback = FakeCalls::future_set_callback;
  api.future_get_error = FakeCalls::future_get_error;
  api.future_get_int64 = FakeCalls::future_get_int64;
  api.future_get_key = FakeCalls::future_get_key;
  api.future_get_value = FakeCalls::future_get_value;
  api.future_get_keyvalue_array = FakeCalls::future_get_keyvalue_array;
  api.future_cancel = FakeCalls::future_cancel;
  api.future_destroy = FakeCalls::future_destroy;
  api.create_database = FakeCalls::create_database;
  api.database_destroy = FakeCalls::database_destroy;
  api.database_set_option = FakeCalls::database_set_option;
  api.database_create_transaction = FakeCalls::database_create_transaction;
  if (!old) {
    api.database_open_tenant = FakeCalls::database_open_tenant;
    api.tenant_create_transaction = FakeCalls::tenant_create_transaction;
    api.tenant_destroy = FakeCalls::tenant_destroy;
  }
  api.transaction_destroy = FakeCalls::transaction_destroy;
  api.transaction_set_option = FakeCalls::transaction_set_option;
  api.transaction_set_read_version = FakeCalls::transaction_set_read_version;
  api.transaction_get_read_version = FakeCalls::transaction_get_read_version;
  api.transaction_get = FakeCalls::transaction_get;
  api.transaction_get_range = FakeCalls::transaction_get_range;
  api.transaction_set = FakeCalls::transaction_set;
  api.transaction_clear = FakeCalls::transaction_clear;
  api.transaction_clear_range = FakeCalls::transaction_clear_range;
  api.transaction_atomic_op = FakeCalls::transaction_atomic_op;
  api.transaction_add_conflict_range = FakeCalls::transaction_add_conflict_range;
  api.transaction_watch = FakeCalls::transaction_watch;
  api.transaction_get_versionstamp = FakeCalls::transaction_get_versionstamp;
  api.transaction_commit = FakeCalls::transaction_commit;
  api.transaction_on_error = FakeCalls::transaction_on_error;
  return api;
}

}  // namespace semper::foundationdb
