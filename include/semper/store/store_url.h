// StoreUrl: the URL of a store, in parts.
//
// What for: a backend that reads its parameters (store/backend.h). When not: programs pass the text
// to open_store.
//
//   SEMPER_TRY(const auto url, semper::StoreUrl::parse("sqlite:/var/lib/app?mode=ro"));
//   SEMPER_TRY_STATUS(url.allow_only({"mode", "vfs"}));
//
// A plain value.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "semper/base/result.h"

namespace semper {

// The part after "SCHEME:" in a store URL: PATH?name=value&name=value.
struct StoreUrl {
  std::string scheme;
  std::string path;
  std::vector<std::pair<std::string, std::string>> parameters;

  // Error: invalid_argument, naming the position.
  static Result<StoreUrl> parse(std::string_view text);

  // The parameter's value, if it is present. A backend refuses parameters that it does not know
  // (invalid_argument, naming the known ones).
  std::optional<std::string> parameter(std::string_view name) const;
  Status allow_only(std::initializer_list<std::string_view> names) const;

  std::string to_string() const;
};

}  // namespace semper
