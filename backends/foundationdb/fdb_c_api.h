// The C interface of FoundationDB's client library, as far as this backend uses it.
//
// Written from the published documentation of the C API (versions 630 to 730), because the library
// is looked for when a store is opened and its header need not be there when this is built. FdbApi
// holds the library's functions by pointer: library.h fills it from a libfdb_c.so, tests fill it
// with functions of their own.
//
// What every function here has in common: none blocks; a future is destroyed exactly once; memory
// that a future gives out lives as long as the future.
#pragma once

#include <cstdint>

namespace semper::foundationdb {

// Opaque, owned by the library.
struct FdbFuture;
struct FdbDatabase;
struct FdbTenant;
struct FdbTransaction;

using FdbError = int;  // 0: success
using FdbBool = int;
using FdbCallback = void (*)(FdbFuture* future, void* parameter);

#pragma pack(push, 4)
struct FdbKeyValue {
  const std::uint8_t* key;
  int key_length;
  const std::uint8_t* value;
  int value_length;
};
#pragma pack(pop)
static_assert(sizeof(FdbKeyValue) == 2 * (sizeof(void*) + sizeof(int)));

inline constexpr int kApiVersionMinimum = 630;
inline constexpr int kApiVersionMaximum = 730;
inline constexpr int kApiVersionOfTenants = 710;

namespace option {
// Of a database.
inline constexpr int kMaxWatches = 20;
// Of a transaction.
inline constexpr int kReadYourWritesDisable = 51;
inline constexpr int kTimeout = 500;
inline constexpr int kSpecialKeySpaceEnableWrites = 714;
}  // namespace option

namespace streaming_mode {
inline constexpr int kExact = 0;
}

namespace mutation_type {
inline constexpr int kAdd = 2;
inline constexpr int kSetVersionstampedKey = 14;
inline constexpr int kSetVersionstampedValue = 15;
}  // namespace mutation_type

namespace conflict_range {
inline constexpr int kRead = 0;
inline constexpr int kWrite = 1;
}  // namespace conflict_range

namespace predicate {
inline constexpr int kRetryableNotCommitted = 50002;
}

struct FdbApi {
  // Versions and network: once per process, before all others.
  int (*get_max_api_version)();
  FdbError (*select_api_version)(int runtime_version, int header_version);
  FdbError (*setup_network)();
  FdbError (*run_network)();  // returns after stop_network
  FdbError (*stop_network)();
  const char* (*get_error)(FdbError code);
  FdbBool (*error_predicate)(int which, FdbError code);

  // The callback runs once: on the network's thread, or before the call returns where the future is
  // ready. Cancelling makes a future ready with operation_cancelled; one that is ready stays as it
  // is.
  FdbError (*future_set_callback)(FdbFuture*, FdbCallback, void* parameter);
  FdbError (*future_get_error)(FdbFuture*);
  FdbError (*future_get_int64)(FdbFuture*, std::int64_t* out);
  FdbError (*future_get_key)(FdbFuture*, const std::uint8_t** key, int* length);
  FdbError (*future_get_value)(FdbFuture*, FdbBool* present, const std::uint8_t** value,
                               int* length);
  FdbError (*future_get_keyvalue_array)(FdbFuture*, const FdbKeyValue** rows, int* count,
                                        FdbBool* more);
  void (*future_cancel)(FdbFuture*);
  void (*future_destroy)(FdbFuture*);

  FdbError (*create_database)(const char* cluster_file, FdbDatabase** out);
  void (*database_destroy)(FdbDatabase*);
  FdbError (*database_set_option)(FdbDatabase*, int option, const std::uint8_t* value, int length);
  FdbError (*database_create_transaction)(FdbDatabase*, FdbTransaction** out);

  // From kApiVersionOfTenants on; null before.
  FdbError (*database_open_tenant)(FdbDatabase*, const std::uint8_t* name, int length,
                                   FdbTenant** out);
  FdbError (*tenant_create_transaction)(FdbTenant*, FdbTransaction** out);
  void (*tenant_destroy)(FdbTenant*);

  void (*transaction_destroy)(FdbTransaction*);
  FdbError (*transaction_set_option)(FdbTransaction*, int option, const std::uint8_t* value,
                                     int length);
  void (*transaction_set_read_version)(FdbTransaction*, std::int64_t version);
  FdbFuture* (*transaction_get_read_version)(FdbTransaction*);
  FdbFuture* (*transaction_get)(FdbTransaction*, const std::uint8_t* key, int length,
                                FdbBool snapshot);
  FdbFuture* (*transaction_get_range)(FdbTransaction*, const std::uint8_t* begin, int begin_length,
                                      FdbBool begin_or_equal, int begin_offset,
                                      const std::uint8_t* end, int end_length, FdbBool end_or_equal,
                                      int end_offset, int limit, int target_bytes, int mode,
                                      int iteration, FdbBool snapshot, FdbBool reverse);
  void (*transaction_set)(FdbTransaction*, const std::uint8_t* key, int length,
                          const std::uint8_t* value, int value_length);
  void (*transaction_clear)(FdbTransaction*, const std::uint8_t* key, int length);
  void (*transaction_clear_range)(FdbTransaction*, const std::uint8_t* begin, int begin_length,
                                  const std::uint8_t* end, int end_length);
  void (*transaction_atomic_op)(FdbTransaction*, const std::uint8_t* key, int length,
                                const std::uint8_t* operand, int operand_length, int type);
  FdbError (*transaction_add_conflict_range)(FdbTransaction*, const std::uint8_t* begin,
                                             int begin_length, const std::uint8_t* end,
                                             int end_length, int type);
  FdbFuture* (*transaction_watch)(FdbTransaction*, const std::uint8_t* key, int length);
  // To be asked for before the commit; ready after it.
  FdbFuture* (*transaction_get_versionstamp)(FdbTransaction*);
  FdbFuture* (*transaction_commit)(FdbTransaction*);
  // Ready when the transaction may be filled and committed again, empty; or with the error to give
  // up with.
  FdbFuture* (*transaction_on_error)(FdbTransaction*, FdbError code);
};

}  // namespace semper::foundationdb
