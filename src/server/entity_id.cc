#include "semper/server/entity_id.h"

#include <algorithm>
#include <utility>

#include "semper/store/tuple_stream.h"

namespace semper {
namespace {

Status check_part(const char* what, std::string_view text, const char* limit, std::size_t maximum) {
  if (text.empty()) {
    return fail(ErrorKind::invalid_argument, std::string("the entity's ") + what + " is empty");
  }
  if (text.size() > maximum) {
    return fail(ErrorKind::invalid_argument, Limit{limit, maximum},
                std::string("the entity's ") + what + " has " + std::to_string(text.size()) +
                    " bytes, the limit is " + std::to_string(maximum));
  }
  if (!is_utf8(text)) {
    return fail(ErrorKind::invalid_argument,
                std::string("the entity's ") + what + " is not UTF-8: " + to_printable(text, 64));
  }
  const bool control =
      std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  if (control) {
    return fail(
        ErrorKind::invalid_argument,
        std::string("the entity's ") + what + " has control characters: " + to_printable(text, 64));
  }
  return {};
}

}  // namespace

Result<EntityId> EntityId::parse(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos) {
    return fail(ErrorKind::invalid_argument,
                "\"" + to_printable(text, 64) + "\" is not of the form TYPE/ID");
  }
  EntityId id{std::string(text.substr(0, slash)), std::string(text.substr(slash + 1))};
  SEMPER_TRY_STATUS(id.validate());
  return id;
}

Status EntityId::validate() const {
  SEMPER_TRY_STATUS(check_part("type", type, "kEntityTypeBytesMaximum", kEntityTypeBytesMaximum));
  if (type.find('/') != std::string::npos) {
    return fail(ErrorKind::invalid_argument,
                "the entity's type \"" + type + "\" has a slash, which divides type and id");
  }
  return check_part("id", id, "kEntityIdBytesMaximum", kEntityIdBytesMaximum);
}

Tenant::Tenant(Store store) : store_(std::move(store)), prefix_(default_prefix()) {}
Tenant::Tenant(Result<Store> store) : store_(std::move(store)), prefix_(default_prefix()) {}
Tenant::Tenant(Store store, Bytes prefix) : store_(std::move(store)), prefix_(std::move(prefix)) {}

Bytes Tenant::default_prefix() {
  Bytes prefix;
  TupleWriter(prefix).add_text("s");
  return prefix;
}

}  // namespace semper
