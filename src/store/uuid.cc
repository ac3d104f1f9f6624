#include "semper/store/uuid.h"

#include <algorithm>

#include "store/hex.h"

namespace semper {
namespace {

// Digits in front of each hyphen of the written form.
constexpr std::size_t kUuidHyphens[] = {8, 12, 16, 20};

}  // namespace

Result<Uuid> Uuid::from_bytes(BytesView bytes) {
  if (bytes.size() != size) {
    return fail(
        ErrorKind::invalid_argument,
        "a uuid is " + std::to_string(size) + " bytes long, not " + std::to_string(bytes.size()));
  }
  Uuid uuid;
  std::copy(bytes.begin(), bytes.end(), uuid.octets.begin());
  return uuid;
}

Result<Uuid> Uuid::from_string(std::string_view text) {
  Uuid uuid;
  if (!internal::read_hyphenated_hex(text, kUuidHyphens, uuid.octets)) {
    return fail(ErrorKind::invalid_argument,
                "\"" + to_printable(text, 64) +
                    "\" is not a uuid; write 32 hexadecimal digits, with or without hyphens as in "
                    "00112233-4455-6677-8899-aabbccddeeff");
  }
  return uuid;
}

BytesView Uuid::bytes() const noexcept {
  return BytesView(reinterpret_cast<const char*>(octets.data()), octets.size());
}

std::string Uuid::to_string() const {
  return internal::hyphenated_hex(bytes(), kUuidHyphens);
}

}  // namespace semper
