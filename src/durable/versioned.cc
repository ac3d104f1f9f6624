#include "semper/durable/versioned.h"

#include <algorithm>

namespace semper::stream {
namespace {

std::string listed(const std::vector<Version>& versions) {
  constexpr std::size_t kShown = 16;
  std::string text;
  for (std::size_t i = 0; i < std::min(versions.size(), kShown); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(versions[i]);
  }
  if (versions.size() > kShown) text += ", …";
  return text.empty() ? "none" : text;
}

}  // namespace

Result<Version> highest_common_version(const std::vector<Version>& ours,
                                       const std::vector<Version>& theirs) {
  std::optional<Version> best;
  for (const Version version : ours) {
    const bool common = std::find(theirs.begin(), theirs.end(), version) != theirs.end();
    if (common && (!best || version > *best)) best = version;
  }
  if (best) return *best;
  return fail(ErrorKind::unsupported, "no version in common: we speak " + listed(ours) +
                                          "; the other side speaks " + listed(theirs));
}

}  // namespace semper::stream
