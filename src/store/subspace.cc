#include "semper/store/subspace.h"

#include <utility>

#include "semper/store/tuple_stream.h"

namespace semper {

Subspace::Subspace(const Tuple& tuple) : prefix_(tuple.pack()) {}

Subspace Subspace::from_prefix(Bytes prefix) {
  Subspace subspace;
  subspace.prefix_ = std::move(prefix);
  return subspace;
}

Subspace Subspace::operator[](const TupleElement& element) const {
  Subspace inner = *this;
  TupleWriter(inner.prefix_).add_element(element);
  return inner;
}

Subspace Subspace::at(const Tuple& tuple) const {
  return from_prefix(pack(tuple));
}

Bytes Subspace::pack(const Tuple& tuple) const {
  Bytes key = prefix_;
  tuple.pack_to(key);
  return key;
}

Result<StampedBytes> Subspace::pack_with_versionstamp(const Tuple& tuple) const {
  return tuple.pack_with_versionstamp(prefix_);
}

Result<Tuple> Subspace::unpack(BytesView key) const {
  if (!contains(key)) {
    return fail(ErrorKind::invalid_argument, "the key " + to_printable(key) +
                                                 " is not in the subspace of prefix " +
                                                 to_printable(prefix_));
  }
  return Tuple::unpack(key.substr(prefix_.size()));
}

KeyRange Subspace::range(const Tuple& tuple) const {
  KeyRange range;
  range.begin = pack(tuple);
  range.end = range.begin;
  range.begin.push_back('\x00');
  range.end.push_back('\xff');
  return range;
}

std::optional<Bytes> prefix_end(BytesView prefix) {
  const auto last = prefix.find_last_not_of('\xff');
  if (last == BytesView::npos) return std::nullopt;
  Bytes end(prefix.substr(0, last + 1));
  end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
  return end;
}

std::optional<KeyRange> prefix_range(BytesView prefix) {
  auto end = prefix_end(prefix);
  if (!end) return std::nullopt;
  return KeyRange{Bytes(prefix), std::move(*end)};
}

}  // namespace semper
