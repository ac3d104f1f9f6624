#include "fencing.h"

#include <algorithm>
#include <map>

namespace semper::testing {

std::vector<std::string> judge_fencing(const std::string& entity,
                                       const std::vector<ShownToken>& shown,
                                       const std::vector<WrittenResult>& written) {
  std::vector<std::string> wrong;
  std::map<std::uint64_t, const ShownToken*> by_token;
  const auto name = [&](std::uint64_t token) {
    return entity + ": the result with token " + std::to_string(token);
  };
  for (const auto& each : shown) {
    const auto [place, fresh] = by_token.emplace(each.token, &each);
    if (!fresh && place->second->message != each.message) {
      wrong.push_back(entity + ": two messages hold token " + std::to_string(each.token));
    }
  }
  std::uint64_t last = 0;
  for (const auto& each : written) {
    if (each.token <= last) {
      wrong.push_back(name(each.token) + " was written after that with " + std::to_string(last));
    }
    last = std::max(last, each.token);
    const auto found = by_token.find(each.token);
    if (found == by_token.end()) {
      wrong.push_back(name(each.token) + " is nobody's");
    } else if (!found->second->accepted) {
      wrong.push_back(name(each.token) + " was written although its holder had lost the lock");
    } else if (found->second->message != each.message) {
      wrong.push_back(name(each.token) + " is another message's");
    }
  }
  return wrong;
}

}  // namespace semper::testing
