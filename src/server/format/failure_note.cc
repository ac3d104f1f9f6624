#include "server/format/failure_note.h"

#include <limits>

#include "semper/base/cbor.h"
#include "server/format/records.h"

namespace semper::internal {
namespace {

constexpr std::uint64_t kNoteElements = 8;

}  // namespace

Bytes FailureNote::encode() const {
  Bytes out;
  cbor::Writer writer(out);
  writer.array(kNoteElements);
  writer.bytes(segment.bytes());
  writer.unsigned_integer(offset);
  writer.unsigned_integer(attempts);
  writer.integer(first_ms);
  writer.integer(last_ms);
  writer.integer(next_ms);
  writer.text(to_printable(host, kDeadLetterReasonBytes));
  writer.text(to_printable(reason, kDeadLetterReasonBytes));
  return out;
}

Result<FailureNote> FailureNote::decode(BytesView bytes) {
  cbor::Reader reader(bytes);
  FailureNote note;
  std::uint64_t elements = 0;
  std::uint64_t offset = 0;
  BytesView stamp;
  std::string_view texts[2];
  bool ok = reader.read_array(elements) && elements >= kNoteElements && reader.read_bytes(stamp) &&
            reader.read_unsigned(offset) && reader.read_unsigned(note.attempts) &&
            reader.read_signed(note.first_ms) && reader.read_signed(note.last_ms) &&
            reader.read_signed(note.next_ms) && reader.read_text(texts[0]) &&
            reader.read_text(texts[1]);
  for (std::uint64_t i = kNoteElements; ok && i < elements; ++i) ok = reader.skip();
  ok = ok && stamp.size() == Versionstamp::size && reader.finish() &&
       offset <= std::numeric_limits<std::uint32_t>::max();
  if (!ok) return fail(ErrorKind::corrupt, "runs that failed: not as they were written");
  SEMPER_TRY(note.segment, Versionstamp::from_bytes(stamp));
  note.offset = static_cast<std::uint32_t>(offset);
  note.host = texts[0];
  note.reason = texts[1];
  return note;
}

}  // namespace semper::internal
