// Any text where a person or a file names something: store URLs and their parameters, entities,
// positions, sizes, spans, values, and records in a stream. What is understood is shown as what is
// understood again, and nothing is announced that takes memory.
#include <algorithm>
#include <string>

#include "backends/etcd/declared_writes.h"
#include "common/text.h"
#include "fuzz/fuzz.h"
#include "ring/records.h"
#include "semper/base/assert.h"
#include "semper/ring/position.h"
#include "semper/server/entity_id.h"
#include "semper/store/backend.h"

namespace semper::fuzz {
namespace {

void check_url(BytesView input) {
  const auto url = StoreUrl::parse(input);
  if (!url) return;
  const auto again = StoreUrl::parse(url->to_string());
  SEMPER_ASSERT(again && again->scheme == url->scheme && again->path == url->path &&
                    again->parameters == url->parameters,
                "a URL is shown as it can be given");
}

void check_names(BytesView input) {
  if (const auto id = EntityId::parse(input)) {
    const auto again = EntityId::parse(id->to_string());
    SEMPER_ASSERT(!id->validate() || (again && *again == *id), "an entity is shown as it is named");
  }
  if (const auto position = ring::Position::parse(input)) {
    const auto again = ring::Position::parse(position->to_string());
    SEMPER_ASSERT(again && again->to_string() == position->to_string(), "as is a position");
  }
}

void check_figures(BytesView input) {
  if (const auto count = cli::parse_count(input)) {
    SEMPER_ASSERT(cli::parse_count(std::to_string(*count)).value() == *count, "a count is one");
  }
  static_cast<void>(cli::parse_size(input));
  if (const auto span = cli::parse_span(input)) {
    SEMPER_ASSERT(*span >= Duration::zero(), "no span is negative");
    cli::shown_span(*span);
    cli::shown_latency(*span);
  }
}

void check_values(BytesView input) {
  using cli::ValueForm;
  for (const auto form : {ValueForm::automatic, ValueForm::json, ValueForm::text, ValueForm::hex,
                          ValueForm::integer, ValueForm::raw}) {
    const auto value = cli::parse_value(input, form);
    if (!value) continue;
    const auto shown = cli::show_value(*value, form);
    SEMPER_ASSERT(shown.has_value(), "what was typed in a form can be shown in it");
    // Texts are shown with escapes, and taken as they are typed.
    if (form == ValueForm::automatic || form == ValueForm::text) continue;
    const auto again = cli::parse_value(*shown, form);
    SEMPER_ASSERT(again && *again == *value, "and typed again");
  }
  static_cast<void>(cli::parse_key(input));
  static_cast<void>(cli::shown_value(input));
  for (const char c : cli::shown(input)) {
    SEMPER_ASSERT(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f, "no terminal is steered");
  }
}

// However the input comes in pieces, the records are the same.
void check_records(BytesView input, cli::RecordForm form) {
  constexpr std::size_t kRecordMaximum = 1000;
  const auto cut = [&](std::size_t step) {
    std::vector<Bytes> records;
    cli::RecordCutter cutter(form, kRecordMaximum);
    const auto take = [&](bool is_last) {
      while (true) {
        const auto next = is_last ? cutter.last() : cutter.next();
        if (!next) return records.emplace_back("error"), false;
        if (!*next) return true;
        SEMPER_ASSERT((*next)->size() <= kRecordMaximum, "no record is longer than allowed");
        records.emplace_back(**next);
      }
    };
    for (std::size_t at = 0; at < input.size(); at += step) {
      cutter.add(input.substr(at, step));
      if (!take(false)) return records;
    }
    take(true);
    return records;
  };
  const auto whole = cut(std::max<std::size_t>(input.size(), 1));
  SEMPER_ASSERT(cut(7) == whole, "the pieces decide nothing");
  if (!whole.empty() && whole.back() == "error") return;
  Bytes written;
  for (const auto& record : whole) cli::append_record(written, record, form);
  const Bytes ended = form == cli::RecordForm::lines && !input.empty() && !input.ends_with('\n')
                          ? Bytes(input) + '\n'
                          : Bytes(input);
  SEMPER_ASSERT(written == ended, "records are written as they were");
}

void check_declared(BytesView input) {
  const auto declared = etcd::DeclaredWrites::decode(input);
  if (declared && !input.empty()) {
    SEMPER_ASSERT(declared->encode() == input, "all of the list was understood");
  }
}

}  // namespace

std::vector<Bytes> seeds() {
  Bytes framed;
  cli::append_record(framed, "one", cli::RecordForm::framed);
  cli::append_record(framed, "", cli::RecordForm::framed);
  etcd::DeclaredWrites declared;
  declared.add(7, {KeyRange("a", "b")});
  declared.add(9, {});
  return {"sqlite:./data.db?cache_mib=16&page_size=4096",
          "etcd:[::1]:2379,host:1?prefix=a%2fb&user=x",
          "fdb:/etc/foundationdb/fdb.cluster?tenant=t",
          "memory:",
          "Counter/page/home",
          "12345",
          "18446744073709551615",
          "64KiB",
          "1.5m",
          "forever",
          "0x00ff",
          "-9223372036854775808",
          R"([1, {"a": 2.5}])",
          R"(("users", 42))",
          "one\n\ntwo",
          framed,
          declared.encode()};
}

void check(BytesView input) {
  check_url(input);
  check_names(input);
  check_figures(input);
  check_values(input);
  check_records(input, cli::RecordForm::lines);
  check_records(input, cli::RecordForm::framed);
  check_declared(input);
}

}  // namespace semper::fuzz
