#include "ring/mirage_images_test_support.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace semper::ring::testing {
namespace {

std::string contents_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) throw std::runtime_error("cannot read " + path.string());
  return text.str();
}

std::vector<MirageImage> read_images(const std::filesystem::path& folder) {
  std::vector<MirageImage> images;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".hex") continue;
    MirageImage image;
    image.name = entry.path().stem();
    image.json = contents_of(std::filesystem::path(entry.path()).replace_extension(".json"));
    std::istringstream text(contents_of(entry.path()));
    text >> image.bytes;
    std::getline(text, image.sparse, '\0');
    images.push_back(std::move(image));
  }
  if (images.empty()) throw std::runtime_error("no images in " + folder.string());
  std::sort(images.begin(), images.end(),
            [](const MirageImage& a, const MirageImage& b) { return a.name < b.name; });
  return images;
}

}  // namespace

const std::vector<MirageImage>& mirage_images() {
  static const std::vector<MirageImage> images =
      read_images(SEMPER_SOURCES "/src/ring/mirage_images");
  return images;
}

}  // namespace semper::ring::testing
