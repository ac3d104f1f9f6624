// What a message looks like that a type takes, and whether what a person typed does: as hosts have
// registered it (MessageInfo), so that a mistake is found before anything is sent.
//
// What only the host can tell, such as whether a text is a known name, is its to refuse.
#pragma once

#include <string>

#include "semper/base/bytes.h"
#include "semper/base/result.h"
#include "semper/server/behaviour.h"
#include "semper/server/message_info.h"

namespace semper::cli {

// What the sender is told of the kinds of the fields. A call's host says it better.
enum class FieldKinds : std::uint8_t { checked, left_to_host };

// The content as it is sent. Where the message is stored by position and its fields are known,
// names are taken for positions ({"by": 2}), those left out have their default; a name that there
// is not, or a value too many, is refused, and so is content that is neither a list nor named.
// Error invalid_argument, with an example of what would be right.
Result<Bytes> fit_message(BytesView content, const MessageInfo& message, FieldKinds kinds);

// "for example '[1]' or '{"by":1}'"; empty where none is known.
std::string example_of(const MessageInfo& message);

}  // namespace semper::cli
