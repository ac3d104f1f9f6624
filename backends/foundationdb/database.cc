#include "database.h"

#include <array>
#include <utility>

#include "semper/base/assert.h"

namespace semper::foundationdb {
namespace {

const std::uint8_t* data_of(BytesView bytes) {
  return reinterpret_cast<const std::uint8_t*>(bytes.data());
}

int length_of(BytesView bytes) {
  return static_cast<int>(bytes.size());
}

// Options take numbers as 8 bytes, little-endian.
Bytes option_value(std::int64_t number) {
  Bytes value;
  append_little_endian_u64(value, static_cast<std::uint64_t>(number));
  return value;
}

}  // namespace

RawTransaction::~RawTransaction() {
  if (database_->client()->is_running()) api().transaction_destroy(raw_);
}

const FdbApi& RawTransaction::api() const {
  return database_->api();
}

Future RawTransaction::future(FdbFuture* raw) {
  return Future(database_->client(), raw, shared_from_this());
}

void RawTransaction::set_option(int option, const std::int64_t* number) {
  const Bytes value = number == nullptr ? Bytes() : option_value(*number);
  const auto code = api().transaction_set_option(raw_, option, data_of(value), length_of(value));
  SEMPER_ASSERT(code == 0, "the client library knows every option that is used");
}

void RawTransaction::disable_read_your_writes() {
  set_option(option::kReadYourWritesDisable, nullptr);
}

void RawTransaction::set_timeout(std::chrono::milliseconds span) {
  const std::int64_t milliseconds = span.count();
  set_option(option::kTimeout, &milliseconds);
}

void RawTransaction::enable_special_key_writes() {
  set_option(option::kSpecialKeySpaceEnableWrites, nullptr);
}

void RawTransaction::set_read_version(Version version) {
  api().transaction_set_read_version(raw_, static_cast<std::int64_t>(version));
}

void RawTransaction::set(BytesView key, BytesView value) {
  api().transaction_set(raw_, data_of(key), length_of(key), data_of(value), length_of(value));
}

void RawTransaction::clear(BytesView key) {
  api().transaction_clear(raw_, data_of(key), length_of(key));
}

void RawTransaction::clear_range(BytesView begin, BytesView end) {
  api().transaction_clear_range(raw_, data_of(begin), length_of(begin), data_of(end),
                                length_of(end));
}

void RawTransaction::atomic(BytesView key, BytesView operand, int mutation_type) {
  api().transaction_atomic_op(raw_, data_of(key), length_of(key), data_of(operand),
                              length_of(operand), mutation_type);
}

FdbError RawTransaction::add_conflict_range(const KeyRange& range, int conflict_range_type) {
  return api().transaction_add_conflict_range(raw_, data_of(range.begin), length_of(range.begin),
                                              data_of(range.end), length_of(range.end),
                                              conflict_range_type);
}

Future RawTransaction::get_read_version() {
  return future(api().transaction_get_read_version(raw_));
}

Future RawTransaction::get(BytesView key) {
  return future(api().transaction_get(raw_, data_of(key), length_of(key), 1));
}

Future RawTransaction::get_range(const KeyRange& range, int rows, int bytes, Order order) {
  // Selectors "first key from `begin` on" and "first key from `end` on".
  return future(api().transaction_get_range(raw_, data_of(range.begin), length_of(range.begin), 0,
                                            1, data_of(range.end), length_of(range.end), 0, 1, rows,
                                            bytes, streaming_mode::kExact, 0, 1,
                                            order == Order::descending ? 1 : 0));
}

Future RawTransaction::watch(BytesView key) {
  return future(api().transaction_watch(raw_, data_of(key), length_of(key)));
}

Future RawTransaction::get_versionstamp() {
  return future(api().transaction_get_versionstamp(raw_));
}

Future RawTransaction::commit() {
  return future(api().transaction_commit(raw_));
}

Future RawTransaction::on_error(FdbError code) {
  return future(api().transaction_on_error(raw_, code));
}

Database::Database(std::shared_ptr<Client> client, const FoundationDbOptions& options)
    : client_(std::move(client)),
      name_(describe_cluster(options.cluster_file)),
      keys_(options.prefix) {}

Result<std::shared_ptr<Database>> Database::open(std::shared_ptr<Client> client,
                                                 const FoundationDbOptions& options) {
  SEMPER_TRY_STATUS(check_cluster_file(options.cluster_file));
  std::shared_ptr<Database> database(new Database(std::move(client), options));
  SEMPER_TRY_STATUS(database->connect(options));
  return database;
}

Status Database::connect(const FoundationDbOptions& options) {
  const char* file = options.cluster_file.empty() ? nullptr : options.cluster_file.c_str();
  if (const auto code = api().create_database(file, &raw_); code != 0) {
    raw_ = nullptr;
    return fail(error(code, Stage::opening));
  }
  const Bytes watches = option_value(kConnectionWatches);
  const auto code =
      api().database_set_option(raw_, option::kMaxWatches, data_of(watches), length_of(watches));
  if (code != 0) return fail(error(code, Stage::opening));
  return {};
}

Status Database::enter_tenant(const std::string& tenant) {
  const auto code = api().database_open_tenant(raw_, data_of(tenant), length_of(tenant), &tenant_);
  if (code == 0) return {};
  tenant_ = nullptr;
  return fail(error(code, Stage::opening));
}

Database::~Database() {
  if (!client_->is_running()) return;
  if (tenant_ != nullptr) api().tenant_destroy(tenant_);
  if (raw_ != nullptr) api().database_destroy(raw_);
}

Result<std::shared_ptr<RawTransaction>> Database::begin() const {
  FdbTransaction* raw = nullptr;
  const auto code = tenant_ == nullptr ? api().database_create_transaction(raw_, &raw)
                                       : api().tenant_create_transaction(tenant_, &raw);
  if (code != 0) return fail(error(code, Stage::opening));
  return std::make_shared<RawTransaction>(shared_from_this(), raw);
}

}  // namespace semper::foundationdb
