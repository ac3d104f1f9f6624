// JSON documents for --json. They are made as CBOR, so that states and messages, which are CBOR in
// the store, go into them as they are, and become text in one place (base/cbor_json.h).
#pragma once

#include <cstdint>
#include <string_view>

#include "semper/base/bytes.h"
#include "semper/env/clock.h"

namespace semper::cli {

// One CBOR item each.
Bytes text_item(std::string_view text);  // bytes that are no UTF-8 as \xHH
Bytes number_item(std::uint64_t number);
Bytes signed_item(std::int64_t number);
Bytes real_item(double number);
Bytes flag_item(bool flag);
Bytes time_item(WallTime time);     // as text
Bytes seconds_item(Duration span);  // as a number
Bytes null_item();
// Stored bytes: the item they are, or {"$bytes": hex} where they are none (or one too deep to be
// part of a document).
Bytes stored_item(BytesView bytes);

// An object, its fields in the order they were added.
class Fields {
 public:
  Fields& add(std::string_view name, BytesView item);
  Bytes item() const;

 private:
  Bytes body_;
  std::uint64_t count_ = 0;
};

// An array.
class List {
 public:
  List& add(BytesView item);
  Bytes item() const;

 private:
  Bytes body_;
  std::uint64_t count_ = 0;
};

}  // namespace semper::cli
