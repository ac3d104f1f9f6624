// Any bytes as CBOR, and as what tools show and take: every reader sees the same items in them,
// what is shown comes back, and what a person types comes back as it was.
#include <string>

#include "fuzz/fuzz.h"
#include "semper/base/assert.h"
#include "semper/base/cbor.h"
#include "semper/base/cbor_json.h"

namespace semper::fuzz {
namespace {

bool are_items(BytesView input) {
  cbor::Reader reader(input);
  while (reader.peek() != cbor::Kind::end) {
    if (!reader.skip()) return false;
  }
  return reader.finish();
}

bool is_one_item(BytesView input) {
  cbor::Reader reader(input);
  return reader.skip() && reader.finish();
}

void check_items(BytesView input) {
  Bytes canonical;
  if (!are_items(input) || !canonical_cbor(input, canonical)) return;
  SEMPER_ASSERT(canonical.size() <= 5 * input.size(), "the shortest form is not longer");
  Bytes again;
  SEMPER_ASSERT(canonical_cbor(canonical, again), "what was written can be read");
  SEMPER_ASSERT(again == canonical, "what was written is read as it was");
}

void check_raw(BytesView input) {
  cbor::Reader reader(input);
  BytesView raw;
  std::size_t sum = 0;
  while (reader.peek() != cbor::Kind::end && reader.read_raw(raw)) {
    SEMPER_ASSERT(is_one_item(raw), "a raw item is one");
    sum += raw.size();
  }
  SEMPER_ASSERT(reader.failed() || sum == input.size(), "raw items leave nothing out");
}

void check_shown(BytesView input) {
  const auto shown = cbor_to_json(input);
  const auto indented = cbor_to_json(input, {.indent = 2});
  SEMPER_ASSERT(shown.has_value() == indented.has_value(), "the style decides nothing");
  if (!shown) return;
  SEMPER_ASSERT(is_one_item(input), "only whole items are shown");
  const auto back = json_to_cbor(*shown);
  if (!back) {
    const std::string& why = back.error().message();
    // The documented two: CBOR forbids the first, and a map's pairs may take JSON past its depth.
    SEMPER_ASSERT(why.find("twice") != std::string::npos ||
                      why.find("repeated") != std::string::npos ||
                      why.find("deep") != std::string::npos,
                  "what is shown can be typed");
    return;
  }
  const auto again = cbor_to_json(*back);
  SEMPER_ASSERT(again && *again == *shown, "what was typed is shown as it was");
  const auto indented_back = json_to_cbor(*indented);
  SEMPER_ASSERT(indented_back && *indented_back == *back, "the style changes nothing");
}

void check_typed(BytesView input) {
  const auto item = json_to_cbor(input);
  if (!item) return;
  SEMPER_ASSERT(is_one_item(*item), "a JSON text is one item");
  const auto shown = cbor_to_json(*item);
  SEMPER_ASSERT(shown.has_value(), "what was typed can be shown");
  const auto again = json_to_cbor(*shown);
  SEMPER_ASSERT(again && *again == *item, "what is shown is what was typed");
}

}  // namespace

std::vector<Bytes> seeds() {
  std::vector<Bytes> made;
  const auto add = [&](auto write) {
    cbor::Writer writer(made.emplace_back());
    write(writer);
  };
  add([](cbor::Writer& to) {
    to.array(6);
    to.text("page/home");
    to.unsigned_integer(70'000);
    to.integer(-5'000'000'000);
    to.minus_one_minus(~std::uint64_t{0});
    to.bytes("\x01\x02");
    to.boolean(true);
  });
  add([](cbor::Writer& to) {
    to.map(3);
    to.text("a");
    to.floating(1.5);
    to.text("$b");
    to.floating(0.5f);
    to.null();
    to.tag(1);
    to.simple(23);
  });
  add([](cbor::Writer& to) {
    for (int i = 0; i < cbor::kMaxDepth; ++i) to.array(1);
    to.text("deep");
  });
  made.emplace_back("\xf9\x7c\x01");
  made.emplace_back(R"({"a": [1, -2, 3.5, 1e300, "x\ud83d\ude00\n", null, true], "b": {}})");
  made.emplace_back(
      R"({"$map": [[1, {"$bytes": "00ff"}], [{"$float": "NaN"}, {"$tag": [1, 2]}]]})");
  made.emplace_back(R"({"$simple": 23, "$float": "Infinity"})");
  made.emplace_back("18446744073709551615");
  made.emplace_back("-18446744073709551616");
  made.emplace_back(Bytes(100, '['));
  return made;
}

void check(BytesView input) {
  check_items(input);
  check_raw(input);
  check_shown(input);
  check_typed(input);
}

}  // namespace semper::fuzz
