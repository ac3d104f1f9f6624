#include "ring/records.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <string>

#include "semper/base/assert.h"

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

void InputReader::Wake::operator()() const noexcept {
  const std::uint64_t one = 1;
  static_cast<void>(!::write(descriptor, &one, sizeof one));
}

InputReader::InputReader(int descriptor, std::stop_token stop)
    : descriptor_(descriptor),
      wake_(::eventfd(0, EFD_CLOEXEC)),
      stop_(std::move(stop)),
      on_stop_(stop_, Wake{wake_}) {
  SEMPER_ASSERT(wake_ >= 0, "the system gives no eventfd");
}

InputReader::~InputReader() {
  ::close(wake_);
}

Result<bool> InputReader::wait(Duration patience) {
  std::array<pollfd, 2> wanted = {pollfd{descriptor_, POLLIN, 0}, pollfd{wake_, POLLIN, 0}};
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(patience).count();
  const int ready = ::poll(wanted.data(), wanted.size(), static_cast<int>(milliseconds));
  if (ready < 0 && errno != EINTR) {
    return fail(error_from_errno(errno, "waiting for the standard input"));
  }
  return ready > 0 || stop_.stop_requested();
}

Result<std::size_t> InputReader::read(std::span<char> into) {
  std::array<pollfd, 2> wanted = {pollfd{descriptor_, POLLIN, 0}, pollfd{wake_, POLLIN, 0}};
  while (!stop_.stop_requested()) {
    if (::poll(wanted.data(), wanted.size(), -1) < 0 && errno != EINTR) {
      return fail(error_from_errno(errno, "waiting for the standard input"));
    }
    if (wanted[0].revents == 0) continue;
    const auto got = ::read(descriptor_, into.data(), into.size());
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno == EINTR || errno == EAGAIN) continue;
    return fail(error_from_errno(errno, "reading the standard input"));
  }
  return 0;
}

}  // namespace semper::cli
