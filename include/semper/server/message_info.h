// MessageInfo: what a behaviour says about one of its messages.
//
// What for: tools that list the messages of a type (list_types in server/inspect.h) and help people
// write one. When not: sending messages; a program that has the types knows all this.
//
//   for (const semper::MessageInfo& message : view.messages) show(message.name, message.fields);
//
// Threads: values.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "semper/base/bytes.h"

namespace semper {

struct MessageInfo {
  std::string name;
  bool call = false;
  bool cast = false;
  bool info = false;
  bool locked = false;
  // For people: the names of the fields, if the message is stored by position and the compiler
  // provides them; and the encoding of a message with default values (empty: it is larger than
  // kExampleBytes, or cannot be created).
  std::optional<std::vector<std::string>> fields = std::nullopt;
  Bytes example = {};
  std::vector<std::string> former_names = {};  // only for behaviours of this process; not in stores
};
inline constexpr std::size_t kExampleBytes = 512;

}  // namespace semper
