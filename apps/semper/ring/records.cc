#include "ring/records.h"

#include <string>

namespace semper::cli {
namespace {

constexpr std::size_t kLengthBytes = 4;
// What was given out is dropped from the buffer when it is at least so much.
constexpr std::size_t kDropBytes = 64u << 10;

}  // namespace

void RecordCutter::add(BytesView bytes) {
  if (taken_ >= kDropBytes || taken_ == buffer_.size()) {
    buffer_.erase(0, taken_);
    before_ += taken_;
    scanned_ -= taken_;
    taken_ = 0;
  }
  buffer_.append(bytes);
}

Result<std::optional<BytesView>> RecordCutter::next() {
  return form_ == RecordForm::lines ? next_line() : next_framed();
}

Result<std::optional<BytesView>> RecordCutter::next_line() {
  const auto end = buffer_.find('\n', scanned_);
  if (end == Bytes::npos) {
    scanned_ = buffer_.size();
    if (scanned_ - taken_ > record_bytes_maximum_) return fail(too_long(scanned_ - taken_));
    return std::nullopt;
  }
  if (end - taken_ > record_bytes_maximum_) return fail(too_long(end - taken_));
  return take(taken_, end - taken_, end - taken_ + 1);
}

Result<std::optional<BytesView>> RecordCutter::next_framed() {
  const BytesView rest = BytesView(buffer_).substr(taken_);
  if (rest.size() < kLengthBytes) return std::nullopt;
  const std::size_t size = load_little_endian_u32(rest);
  if (size > record_bytes_maximum_) return fail(too_long(size));
  if (rest.size() < kLengthBytes + size) return std::nullopt;
  return take(taken_ + kLengthBytes, size, kLengthBytes + size);
}

Result<std::optional<BytesView>> RecordCutter::last() {
  SEMPER_TRY(auto record, next());
  if (record || taken_ == buffer_.size()) return record;
  const std::size_t rest = buffer_.size() - taken_;
  if (form_ == RecordForm::lines) return take(taken_, rest, rest);
  return fail(ErrorKind::invalid_argument, "the input ends inside a record, that at byte " +
                                               std::to_string(before_ + taken_) + ", of which " +
                                               std::to_string(rest) + " bytes are there");
}

Error RecordCutter::too_long(std::uint64_t bytes) const {
  return Error(ErrorKind::invalid_argument,
               "the record at byte " + std::to_string(before_ + taken_) + " of the input has " +
                   (form_ == RecordForm::lines ? "at least " : "") + std::to_string(bytes) +
                   " bytes, the ring takes " + std::to_string(record_bytes_maximum_) + " at most");
}

BytesView RecordCutter::take(std::size_t begin, std::size_t size, std::size_t whole) {
  taken_ += whole;
  scanned_ = taken_;
  return BytesView(buffer_).substr(begin, size);
}

void append_record(Bytes& out, BytesView record, RecordForm form) {
  if (form == RecordForm::framed) {
    append_little_endian_u32(out, static_cast<std::uint32_t>(record.size()));
  }
  out.append(record);
  if (form == RecordForm::lines) out.push_back('\n');
}

}  // namespace semper::cli
