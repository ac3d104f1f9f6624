#include "semper/store/tuple_type.h"

namespace semper {

std::string_view to_string(TupleType type) noexcept {
  switch (type) {
    case TupleType::null:
      return "null";
    case TupleType::bytes:
      return "bytes";
    case TupleType::text:
      return "text";
    case TupleType::nested:
      return "a nested tuple";
    case TupleType::integer:
      return "an integer";
    case TupleType::float32:
      return "a float";
    case TupleType::float64:
      return "a double";
    case TupleType::boolean:
      return "a boolean";
    case TupleType::uuid:
      return "a uuid";
    case TupleType::versionstamp:
      return "a versionstamp";
  }
  return "an unknown type";
}

}  // namespace semper
