#include "store/copy_rows.h"

#include <cstdio>

#include "common/text.h"
#include "semper/base/crc32c.h"

namespace semper::cli {

Async<void> RowReader::read_page() {
  RangeOptions options;
  options.limit = kCopyPageRows;
  options.mode = ReadMode::snapshot;
  SEMPER_CO_TRY(page_, co_await store_.transact([&](Transaction& transaction) {
    return transaction.get_range(rest_, options);
  }));
  at_ = 0;
  if (page_.rows.empty()) page_.more = false;
  if (page_.more) rest_.begin = key_after(page_.rows.back().key);
  co_return Status{};
}

void Tally::add(const KeyValue& row) {
  Bytes lengths;
  append_little_endian_u64(lengths, row.key.size());
  append_little_endian_u64(lengths, row.value.size());
  checksum = crc32c(row.value, crc32c(row.key, crc32c(lengths, checksum)));
  bytes += row.key.size() + row.value.size();
  ++keys;
}

std::string tally_in_words(const Tally& tally) {
  return std::to_string(tally.keys) + " keys, " + shown_size(tally.bytes);
}

std::string checksum_text(const Tally& tally) {
  char text[9];
  std::snprintf(text, sizeof text, "%08x", tally.checksum);
  return text;
}

}  // namespace semper::cli
