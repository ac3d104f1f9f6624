#include "future.h"

#include <utility>

#include "semper/base/assert.h"

namespace semper::foundationdb {
namespace {

Bytes bytes_at(const std::uint8_t* data, int length) {
  return {reinterpret_cast<const char*>(data), static_cast<std::size_t>(length)};
}

}  // namespace

struct Future::State {
  State(std::shared_ptr<Client> of, FdbFuture* future, std::shared_ptr<const void> held)
      : client(std::move(of)), raw(future), keep_alive(std::move(held)) {}
  ~State() {
    if (client->is_running()) client->api().future_destroy(raw);
  }

  void cancel() const {
    if (!done.is_set() && client->is_running()) client->api().future_cancel(raw);
  }

  // On the network's thread, or within future_set_callback.
  static void on_ready(FdbFuture*, void* parameter) {
    const std::unique_ptr<std::shared_ptr<State>> state(
        static_cast<std::shared_ptr<State>*>(parameter));
    (*state)->done.set({});
  }

  std::shared_ptr<Client> client;
  FdbFuture* raw;
  std::shared_ptr<const void> keep_alive;
  OneShot<std::monostate> done;
  bool waited = false;  // by the one who may
};

Future::Future(std::shared_ptr<Client> client, FdbFuture* raw,
               std::shared_ptr<const void> keep_alive)
    : state_(std::make_shared<State>(std::move(client), raw, std::move(keep_alive))) {
  auto* parameter = new std::shared_ptr<State>(state_);
  const auto code = state_->client->api().future_set_callback(raw, State::on_ready, parameter);
  SEMPER_ASSERT(code == 0, "a future takes its first callback");
}

Future::~Future() {
  if (state_) state_->cancel();
}

Async<FdbError> Future::ready() {
  auto state = state_;
  if (!state->waited) {
    SEMPER_CO_TRY_STATUS(co_await state->done.wait());
    state->waited = true;
  }
  co_return state->client->api().future_get_error(state->raw);
}

Future::Canceller Future::canceller() const {
  return Canceller(state_);
}

void Future::Canceller::operator()() const {
  if (state_) state_->cancel();
}

std::int64_t Future::number() const {
  std::int64_t number = 0;
  const auto code = state_->client->api().future_get_int64(state_->raw, &number);
  SEMPER_ASSERT(code == 0, "the future is ready and holds a number");
  return number;
}

Bytes Future::key() const {
  const std::uint8_t* data = nullptr;
  int length = 0;
  const auto code = state_->client->api().future_get_key(state_->raw, &data, &length);
  SEMPER_ASSERT(code == 0, "the future is ready and holds a key");
  return bytes_at(data, length);
}

std::optional<Bytes> Future::value() const {
  FdbBool present = 0;
  const std::uint8_t* data = nullptr;
  int length = 0;
  const auto code = state_->client->api().future_get_value(state_->raw, &present, &data, &length);
  SEMPER_ASSERT(code == 0, "the future is ready and holds a value");
  if (present == 0) return std::nullopt;
  return bytes_at(data, length);
}

RangePage Future::rows() const {
  const FdbKeyValue* rows = nullptr;
  int count = 0;
  FdbBool more = 0;
  const auto code =
      state_->client->api().future_get_keyvalue_array(state_->raw, &rows, &count, &more);
  SEMPER_ASSERT(code == 0, "the future is ready and holds rows");
  RangePage page;
  page.more = more != 0;
  page.rows.reserve(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) {
    page.rows.emplace_back(bytes_at(rows[i].key, rows[i].key_length),
                           bytes_at(rows[i].value, rows[i].value_length));
  }
  return page;
}

}  // namespace semper::foundationdb
