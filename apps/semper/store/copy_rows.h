// RowReader: all rows of a store in order of their keys, page by page, without Semper's own.
//
// Each page is as of one moment, the next one of a later one: a read of the whole store is no
// snapshot of it, and may last longer than a transaction may. Memory: one page.
#pragma once

#include <cstdint>
#include <string>

#include "semper/store/store.h"

namespace semper::cli {

// Keys from here on are Semper's and the backend's own: markers of commits, the record of a copy.
inline constexpr const char* kReservedKeysBegin = "\xff";
inline constexpr std::size_t kCopyPageRows = 1000;

class RowReader {
 public:
  explicit RowReader(Store store, Bytes from = {})
      : store_(std::move(store)), rest_(std::move(from), kReservedKeysBegin) {}

  //   while (true) {
  //     if (reader.needs_page()) SEMPER_CO_TRY_STATUS(co_await reader.read_page());
  //     const KeyValue* row = reader.row();       // null: the end
  bool needs_page() const { return at_ == page_.rows.size() && page_.more; }
  Async<void> read_page();
  const KeyValue* row() const { return at_ < page_.rows.size() ? &page_.rows[at_] : nullptr; }
  void pop() { ++at_; }

 private:
  const Store store_;
  KeyRange rest_;
  RangePage page_{{}, true};
  std::size_t at_ = 0;
};

// What a set of rows amounts to.
struct Tally {
  std::uint64_t keys = 0;
  std::uint64_t bytes = 0;     // of keys and values
  std::uint32_t checksum = 0;  // CRC32C of all lengths, keys and values, in order

  void add(const KeyValue& row);
  friend bool operator==(const Tally&, const Tally&) = default;
};
std::string tally_in_words(const Tally& tally);  // "12 keys, 3.4 KiB"
std::string checksum_text(const Tally& tally);   // "00c0ffee"

}  // namespace semper::cli
