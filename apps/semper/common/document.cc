#include "common/document.h"

#include "common/text.h"
#include "semper/base/cbor.h"
#include "semper/base/cbor_json.h"

namespace semper::cli {
namespace {

// Levels that our documents put around a stored item, at most.
constexpr int kLevelsAround = 4;

template <class Write>
Bytes make(const Write& write) {
  Bytes out;
  cbor::Writer writer(out);
  write(writer);
  return out;
}

bool fits_a_document(BytesView bytes) {
  const Bytes wrapped = make([&](cbor::Writer& writer) {
    for (int i = 0; i < kLevelsAround; ++i) writer.array(1);
    writer.raw(bytes);
  });
  return cbor_to_json(wrapped).has_value();
}

}  // namespace

Bytes text_item(std::string_view text) {
  return make([&](cbor::Writer& writer) {
    writer.text(is_utf8(text) ? std::string(text) : to_printable(text, text.size()));
  });
}
Bytes number_item(std::uint64_t number) {
  return make([&](cbor::Writer& writer) { writer.unsigned_integer(number); });
}
Bytes signed_item(std::int64_t number) {
  return make([&](cbor::Writer& writer) { writer.integer(number); });
}
Bytes real_item(double number) {
  return make([&](cbor::Writer& writer) { writer.floating(number); });
}
Bytes flag_item(bool flag) {
  return make([&](cbor::Writer& writer) { writer.boolean(flag); });
}
Bytes time_item(WallTime time) {
  return text_item(shown_time(time));
}
Bytes seconds_item(Duration span) {
  return real_item(std::chrono::duration<double>(span).count());
}
Bytes null_item() {
  return make([](cbor::Writer& writer) { writer.null(); });
}
Bytes stored_item(BytesView bytes) {
  if (fits_a_document(bytes)) return Bytes(bytes);
  return make([&](cbor::Writer& writer) { writer.bytes(bytes); });
}

Fields& Fields::add(std::string_view name, BytesView item) {
  cbor::Writer writer(body_);
  writer.text(name);
  writer.raw(item);
  ++count_;
  return *this;
}

Bytes Fields::item() const {
  return make([&](cbor::Writer& writer) {
    writer.map(count_);
    writer.raw(body_);
  });
}

List& List::add(BytesView item) {
  body_.append(item);
  ++count_;
  return *this;
}

Bytes List::item() const {
  return make([&](cbor::Writer& writer) {
    writer.array(count_);
    writer.raw(body_);
  });
}

}  // namespace semper::cli
