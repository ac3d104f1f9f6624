// The examples of include/semper/base, as they stand in its headers.
// clang-format off
#include <chrono>
#include <cstdint>
#include <iostream>
#include <string>
#include <thread>

#include "semper/base/codec_json.h"

#include "semper/base/aggregate.h"
#include "semper/base/assert.h"
#include "semper/base/bytes.h"
#include "semper/base/cbor.h"
#include "semper/base/cbor_json.h"
#include "semper/base/codec.h"
#include "semper/base/crc32c.h"
#include "semper/base/field_names.h"
#include "semper/base/log.h"
#include "semper/base/metrics.h"
#include "semper/base/result.h"
#include "semper/base/stop.h"
#include "semper/base/time.h"
#include "semper/base/type_name.h"
#include "semper/base/value.h"
#include "semper/env/asio.h"
#include "semper/version.h"

namespace aggregate {
struct Add { std::int64_t by = 1; std::string note; };
static_assert(semper::field_count<Add> == 2);
template <class T>
void print(const T&) {}
void example(Add& add) {
  semper::visit_fields(add, [](auto&... fields) { (print(fields), ...); });
}
}  // namespace aggregate

semper::Result<int> expression();
semper::Status status();
semper::Async<int> awaited();
semper::Result<int> example() {
  SEMPER_ASSIGN_OR_RETURN(auto value, expression());
  SEMPER_RETURN_IF_ERROR(status());
  return value;
}
semper::Async<int> asynchronous() {
  SEMPER_CO_ASSIGN_OR_RETURN(auto value, co_await awaited());
  SEMPER_CO_RETURN_IF_ERROR(co_await awaited());
  co_return value;
}

void asserted(std::uint64_t popped, std::uint64_t pushed) {
  SEMPER_ASSERT(popped <= pushed, "a queue cannot have consumed more than it holds");
}

void bytes() {
  semper::Bytes value = semper::bytes_of({0x00, 0xff});
  std::string log_line = semper::to_printable(value);   // "\x00\xff"
}

semper::Result<std::uint64_t> cbor() {
  semper::Bytes out;
  semper::cbor::Writer writer(out);
  writer.array(2);
  writer.text("page/home");
  writer.unsigned_integer(7);

  semper::cbor::Reader reader(out);
  std::uint64_t count = 0, hits = 0;
  std::string_view name;
  if (!reader.read_array(count) || !reader.read_text(name) || !reader.read_unsigned(hits) ||
      !reader.finish())
    return semper::fail(reader.error());    // "expected text, found null at byte 1"
  return hits;
}

namespace codec {
struct Add { std::int64_t by = 1; std::string note; };        // no macro, nothing to register
void example() {
  semper::Bytes bytes = semper::encode(Add{2, "hello"});        // CBOR [2, "hello"]
  semper::Result<Add> add = semper::decode<Add>(bytes);
}
void json() {
  auto text = semper::cbor_to_json(semper::encode(Add{2, "hi"}));    // [2,"hi"]
  auto bytes = semper::json_to_cbor(R"([2, "hi"])");                 // the same bytes again
}
}  // namespace codec

struct Money {
  std::int64_t cents = 0;
};
template <> struct semper::Codec<Money> {
  static void encode(const Money& money, Bytes& out);     // appends exactly one CBOR item
  static Result<Money> decode(BytesView item);            // is given exactly that item
};

namespace codec_json {
struct Order { std::string item; int count = 1; };
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Order, item, count)
void example() {
  semper::Bytes bytes = semper::encode(Order{"tea", 2});    // CBOR {"count": 2, "item": "tea"}
}
void strict(semper::BytesView bytes) {
  auto typed_by_hand = semper::decode<Order>(bytes, {.strict = true});
}
}  // namespace codec_json

void crc(semper::BytesView header_and_body, semper::BytesView header, semper::BytesView body) {
  std::uint32_t whole = semper::crc32c(header_and_body);
  std::uint32_t same = semper::crc32c(body, semper::crc32c(header));   // piece by piece
}

namespace names {
struct Add { std::int64_t by = 1; std::string note; };
void example() {
  semper::field_names<Add>();      // {"by", "note"}
}
}  // namespace names

namespace type_names {
struct Counter { struct Add { std::int64_t by = 1; }; };
struct Withdrawn { static constexpr std::string_view kName = "bank.withdrawal"; };
void example() {
  semper::type_name<Counter::Add>();          // "Counter::Add"
  semper::short_type_name<Counter::Add>();    // "Add"
  semper::type_name<Withdrawn>();             // "bank.withdrawal", whatever it is called today
}
}  // namespace type_names

struct Logger {
  void write(std::string_view component, std::string_view message);
};
void log(Logger& my_logger, int n) {
  semper::log_info("host", "serving Counter on sqlite:./data.db");
  semper::log_debug("queue", [&] { return "batch of " + std::to_string(n); });  // lazily
  semper::set_log_sink([&my_logger](semper::LogLevel, std::string_view component,
                                    std::string_view message) {
    my_logger.write(component, message);
  });
  semper::set_log_level(semper::LogLevel::debug);
}

void metrics() {
  semper::metrics::Registry registry;                       // outlives what uses it; no globals
  auto& calls = registry.counter({"semper_calls_total", "Calls handled"}, {{"type", "Counter"}});
  auto& latency = registry.histogram({"semper_call_seconds", "From enqueue to reply"});
  calls.add();                                              // one relaxed atomic addition
  latency.record(std::chrono::microseconds(85));            // two
  std::string page = registry.to_prometheus();              // serve as text/plain; version=0.0.4
}

namespace result {
semper::Result<int> parse(std::string_view text);
semper::Result<int> example() {
  auto n = parse("12");
  if (!n) return semper::fail(n.error().in("port of endpoint 3"));   // adds where
  return n;
}
}  // namespace result

namespace stop {
void do_a_step();
struct News { void notify_one() {} };
void example(News& news) {
  semper::StopSource stop;
  std::thread worker([token = stop.get_token()] {
    while (!token.stop_requested()) do_a_step();
  });
  const semper::StopCallback wake(stop.get_token(), [&] { news.notify_one(); });
  stop.request_stop();                                      // runs it
  worker.join();
}
}  // namespace stop

void time() {
  using semper::Duration;
  Duration timeout = std::chrono::seconds(5);
}

void version() {
  semper::log_info("semper", semper::version());         // "0.1.0"
#if SEMPER_VERSION < SEMPER_VERSION_NUMBER(0, 2, 0)
#endif
}
