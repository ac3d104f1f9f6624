#include "semper/rpc/frame.h"

#include <algorithm>
#include <string>

#include "semper/base/internal/mutant.h"

namespace semper::rpc {
namespace {

// Protobuf's wire types.
constexpr std::uint64_t kVarint = 0;
constexpr std::uint64_t kFixed64 = 1;
constexpr std::uint64_t kLengthDelimited = 2;
constexpr std::uint64_t kFixed32 = 5;
constexpr unsigned kVarintBits = 64;

void append_varint(Bytes& out, std::uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>((value & 0x7f) | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

void append_field(Bytes& out, std::uint64_t number, BytesView value) {
  append_varint(out, number << 3 | kLengthDelimited);
  append_varint(out, value.size());
  out.append(value);
}

class Reader {
 public:
  explicit Reader(BytesView bytes) : bytes_(bytes) {}

  bool at_end() const { return position_ == bytes_.size(); }

  Result<std::uint64_t> varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < kVarintBits; shift += 7) {
      if (at_end()) return wrong("ends within a number");
      const auto byte = static_cast<unsigned char>(bytes_[position_++]);
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    return wrong("has a number of more than 64 bits");
  }

  Result<BytesView> delimited() {
    SEMPER_TRY(const std::uint64_t length, varint());
    return take(length);
  }

  Status skip(std::uint64_t wire_type) {
    switch (wire_type) {
      case kVarint: {
        SEMPER_TRY([[maybe_unused]] const std::uint64_t ignored, varint());
        return Status();
      }
      case kFixed64:
        return skipped(take(8));
      case kLengthDelimited:
        return skipped(delimited());
      case kFixed32:
        return skipped(take(4));
      default:
        return wrong("has a field of an unknown wire type");
    }
  }

  tl::unexpected<Error> wrong(const char* what) const {
    return fail(ErrorKind::invalid_argument,
                std::string("the message ") + what + " at byte " + std::to_string(position_));
  }

 private:
  static Status skipped(const Result<BytesView>& taken) {
    if (!taken) return fail(taken.error());
    return Status();
  }

  Result<BytesView> take(std::uint64_t length) {
    if (SEMPER_MUTANT("rpc_length_in_a_frame_not_checked")) {
      length = std::min<std::uint64_t>(length, bytes_.size() - position_);
    }
    if (length > bytes_.size() - position_) return wrong("is shorter than a field says");
    const BytesView taken = bytes_.substr(position_, length);
    position_ += length;
    return taken;
  }

  BytesView bytes_;
  std::size_t position_ = 0;
};

constexpr std::uint64_t bytes_field(std::uint64_t number) {
  return number << 3 | kLengthDelimited;
}

Status check_frame(const StreamFrame& frame) {
  const bool first = frame.begin != StreamFrame::Begin::no;
  if (first && !frame.updates.empty()) {
    return fail(ErrorKind::invalid_argument, "a first frame has updates");
  }
  if (frame.state && frame.begin != StreamFrame::Begin::fresh) {
    return fail(ErrorKind::invalid_argument, "a state is not in a first frame that begins afresh");
  }
  return Status();
}

}  // namespace

Bytes encode_request(const StreamRequest& request) {
  Bytes out;
  if (!request.request.empty()) append_field(out, 1, request.request);
  if (request.resume_after) append_field(out, 2, *request.resume_after);
  return out;
}

Result<StreamRequest> decode_request(BytesView bytes) {
  StreamRequest request;
  Reader reader(bytes);
  while (!reader.at_end()) {
    SEMPER_TRY(const std::uint64_t key, reader.varint());
    if (key == bytes_field(1)) {
      SEMPER_TRY(request.request, reader.delimited());
    } else if (key == bytes_field(2)) {
      SEMPER_TRY(request.resume_after, reader.delimited());
    } else {
      SEMPER_TRY_STATUS(reader.skip(key & 7));
    }
  }
  return request;
}

Bytes encode_frame(const StreamFrame& frame) {
  Bytes out;
  std::size_t length = 32 + frame.metadata.size() + frame.resume_token.size();
  if (frame.state) length += frame.state->size();
  for (const auto& update : frame.updates) length += update.size() + 6;
  out.reserve(length);
  if (frame.begin != StreamFrame::Begin::no) {
    append_varint(out, 1 << 3 | kVarint);
    append_varint(out, static_cast<std::uint64_t>(frame.begin));
  }
  if (frame.state) append_field(out, 2, *frame.state);
  if (!frame.metadata.empty()) append_field(out, 3, frame.metadata);
  if (!frame.resume_token.empty()) append_field(out, 4, frame.resume_token);
  for (const auto& update : frame.updates) append_field(out, 5, update);
  return out;
}

Result<StreamFrame> decode_frame(BytesView bytes) {
  StreamFrame frame;
  Reader reader(bytes);
  while (!reader.at_end()) {
    SEMPER_TRY(const std::uint64_t key, reader.varint());
    if (key == (1 << 3 | kVarint)) {
      SEMPER_TRY(const std::uint64_t begin, reader.varint());
      if (begin > static_cast<std::uint64_t>(StreamFrame::Begin::resumed)) {
        return reader.wrong("has a beginning of an unknown kind");
      }
      frame.begin = static_cast<StreamFrame::Begin>(begin);
    } else if (key == bytes_field(2)) {
      SEMPER_TRY(frame.state, reader.delimited());
    } else if (key == bytes_field(3)) {
      SEMPER_TRY(frame.metadata, reader.delimited());
    } else if (key == bytes_field(4)) {
      SEMPER_TRY(frame.resume_token, reader.delimited());
    } else if (key == bytes_field(5)) {
      SEMPER_TRY(const BytesView update, reader.delimited());
      frame.updates.emplace_back(update);
    } else {
      SEMPER_TRY_STATUS(reader.skip(key & 7));
    }
  }
  SEMPER_TRY_STATUS(check_frame(frame));
  return frame;
}

}  // namespace semper::rpc
