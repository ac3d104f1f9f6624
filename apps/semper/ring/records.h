// Records in a stream of bytes: how `ring produce` reads its input and `ring consume` writes its
// output.
//
//   lines    a record a line; the last one may lack its end. Records can hold anything but line
//            ends
//   framed   four bytes of length, little-endian, then the record: anything, also nothing
#pragma once

#include <cstdint>
#include <optional>

#include "semper/base/bytes.h"
#include "semper/base/result.h"

namespace semper::cli {

enum class RecordForm : std::uint8_t { lines, framed };

// Cuts what was read into records.
class RecordCutter {
 public:
  // A longer record is an error, found before memory is taken for it.
  RecordCutter(RecordForm form, std::size_t record_bytes_maximum)
      : form_(form), record_bytes_maximum_(record_bytes_maximum) {}

  void add(BytesView bytes);

  // The next whole record, borrowed until add(); nothing where more bytes are needed.
  // Error: invalid_argument, with its place in the input; the records before it were given out.
  Result<std::optional<BytesView>> next();

  // The same once the input has ended: a last line without its end is a record. Error also where
  // the input ends inside a framed record.
  Result<std::optional<BytesView>> last();

 private:
  Result<std::optional<BytesView>> next_line();
  Result<std::optional<BytesView>> next_framed();
  Error too_long(std::uint64_t bytes) const;
  BytesView take(std::size_t begin, std::size_t size, std::size_t whole);

  const RecordForm form_;
  const std::size_t record_bytes_maximum_;
  Bytes buffer_;
  std::size_t taken_ = 0;     // bytes of the buffer that were given out
  std::size_t scanned_ = 0;   // bytes of the buffer known to hold no line end, from taken_ on
  std::uint64_t before_ = 0;  // bytes of the input that have left the buffer
};

// Appends a record in that form.
void append_record(Bytes& out, BytesView record, RecordForm form);

}  // namespace semper::cli
