#include "semper/store/versionstamp.h"

#include <algorithm>
#include <limits>

#include "semper/base/assert.h"
#include "store/hex.h"

namespace semper {
namespace {

// Digits in front of the two hyphens of the written form.
constexpr std::size_t kStampHyphens[] = {16, 20};

template <class Unsigned>
void store_big_endian(std::uint8_t* out, Unsigned value) noexcept {
  for (std::size_t i = sizeof(Unsigned); i-- > 0;) {
    out[i] = static_cast<std::uint8_t>(value);
    value = static_cast<Unsigned>(value >> 8);
  }
}

template <class Unsigned>
Unsigned load_big_endian(const std::uint8_t* in) noexcept {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < sizeof(Unsigned); ++i) value = (value << 8) | in[i];
  return static_cast<Unsigned>(value);
}

Error not_a_stamp(std::string_view text) {
  return Error(ErrorKind::invalid_argument,
               "\"" + to_printable(text, 64) +
                   "\" is not a versionstamp; write 24 hexadecimal digits, with or without hyphens "
                   "as in 000000000000000c-0000-0007");
}

}  // namespace

Versionstamp::Versionstamp() noexcept {
  bytes_.fill(0xff);
  store_big_endian(bytes_.data() + store_size, std::uint16_t{0});
}

Versionstamp Versionstamp::complete(std::uint64_t version, std::uint16_t batch,
                                    std::uint16_t user) {
  SEMPER_ASSERT(version != std::numeric_limits<std::uint64_t>::max() ||
                    batch != std::numeric_limits<std::uint16_t>::max(),
                "ten bytes of all-ones mark a stamp that is not complete");
  Versionstamp stamp = incomplete(user);
  store_big_endian(stamp.bytes_.data(), version);
  store_big_endian(stamp.bytes_.data() + 8, batch);
  return stamp;
}

Versionstamp Versionstamp::incomplete(std::uint16_t user) noexcept {
  return Versionstamp().with_user(user);
}

Result<Versionstamp> Versionstamp::from_bytes(BytesView bytes) {
  if (bytes.size() != size) {
    return fail(ErrorKind::invalid_argument,
                "a versionstamp is " + std::to_string(size) + " bytes long, not " +
                    std::to_string(bytes.size()) + "; pass exactly the stamp");
  }
  Versionstamp stamp;
  std::copy(bytes.begin(), bytes.end(), stamp.bytes_.begin());
  return stamp;
}

Result<Versionstamp> Versionstamp::from_string(std::string_view text) {
  Versionstamp stamp;
  if (!internal::read_hyphenated_hex(text, kStampHyphens, stamp.bytes_)) {
    return fail(not_a_stamp(text));
  }
  return stamp;
}

bool Versionstamp::is_complete() const noexcept {
  return !std::all_of(bytes_.begin(), bytes_.begin() + store_size,
                      [](std::uint8_t byte) { return byte == 0xff; });
}

std::uint64_t Versionstamp::version() const noexcept {
  return load_big_endian<std::uint64_t>(bytes_.data());
}

std::uint16_t Versionstamp::batch() const noexcept {
  return load_big_endian<std::uint16_t>(bytes_.data() + 8);
}

std::uint16_t Versionstamp::user() const noexcept {
  return load_big_endian<std::uint16_t>(bytes_.data() + store_size);
}

Versionstamp Versionstamp::with_user(std::uint16_t user) const noexcept {
  Versionstamp stamp = *this;
  store_big_endian(stamp.bytes_.data() + store_size, user);
  return stamp;
}

BytesView Versionstamp::bytes() const noexcept {
  return BytesView(reinterpret_cast<const char*>(bytes_.data()), bytes_.size());
}

std::string Versionstamp::to_string() const {
  return internal::hyphenated_hex(bytes(), kStampHyphens);
}

}  // namespace semper

std::size_t std::hash<semper::Versionstamp>::operator()(
    const semper::Versionstamp& stamp) const noexcept {
  return std::hash<std::string_view>()(stamp.bytes());
}
