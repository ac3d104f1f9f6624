// MessageInfo: what a behaviour says of one of its messages.
//
// What for: tools that list the messages of a type (list_types in server/inspect.h) and help people to write
// one. When not: sending; a program that has the types knows all this.
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
  // For people: the fields' names where it is stored by position and the compiler tells them, and the item of
  // one with all its defaults (empty: larger than kExampleBytes, or it cannot be made).
  std::optional<std::vector<std::string>> fields = std::nullopt;
  Bytes example = {};
  std::vector<std::string> former_names = {};  // of a behaviour of this process; not in stores
};
inline constexpr std::size_t kExampleBytes = 512;

}  // namespace semper
