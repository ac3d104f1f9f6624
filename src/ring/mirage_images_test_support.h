// Rings as the OCaml library shared-block-ring 3.0.1 left them, and what is in them: the files of
// mirage_images/. See docs/ring-format-mirage-1.0.md.
#pragma once

#include <cstddef>
#include <ostream>
#include <string>
#include <vector>

namespace semper::ring::testing {

struct MirageImage {
  std::string name;
  std::size_t bytes = 0;
  std::string json;  // the description, NAME.json; an item's hex is a list of strings
  std::string
      sparse;  // lines of "OFFSET HEX", zeros left out; NAME.hex, behind the number of bytes

  friend std::ostream& operator<<(std::ostream& out, const MirageImage& image) {
    return out << image.name;
  }
};

const std::vector<MirageImage>& mirage_images();

}  // namespace semper::ring::testing
