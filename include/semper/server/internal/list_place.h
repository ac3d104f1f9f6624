// Where the entries of a List stand: byte strings, between any two of which there is room for a
// third.
#pragma once

#include <optional>

#include "semper/base/bytes.h"
#include "semper/base/result.h"
#include "semper/server/list_place.h"

namespace semper::internal {

// Whether place_between() can have made it: places come back from users.
bool is_list_place(const Bytes& place);

// A place after `before` and before `after`, in the order of bytes; without one of them, at that
// end. Preconditions: before < after, and is_list_place() of both.
// Errors: exhausted: the place would be longer than kListPlaceBytesMaximum, or 2^31 entries were
// added at that end.
Result<Bytes> place_between(const std::optional<Bytes>& before, const std::optional<Bytes>& after);

}  // namespace semper::internal
