// Images of rings by the OCaml library; data in mirage_images_test_support.cc.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace semper::ring::testing {

struct MirageImage {
  std::string_view name;
  std::size_t bytes;
  std::string_view json;    // the description; an item's hex is a list of strings
  std::string_view sparse;  // lines of "OFFSET HEX"
};

const std::vector<MirageImage>& mirage_images();

}  // namespace semper::ring::testing
