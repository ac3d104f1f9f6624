#include "lives.h"

#include <algorithm>

namespace semper::testing {

std::vector<std::string> judge_lives(const std::string& entity,
                                     const std::vector<LifeMessage>& messages,
                                     const std::vector<LifeEnd>& ends,
                                     const std::vector<std::uint64_t>& left) {
  std::vector<std::string> wrong;
  const auto blame = [&](const LifeMessage& message, const std::string& what) {
    wrong.push_back(entity + ": message " + std::to_string(message.number) + " " + what);
  };
  for (const auto& message : messages) {
    const auto times = std::count(left.begin(), left.end(), message.number);
    if (times > 1) blame(message, "is there " + std::to_string(times) + " times");
    if (times > 0 && message.fate == Fate::refused) blame(message, "was refused and is there");
    if (message.fate != Fate::done) continue;
    bool may_have_been_taken = false;
    bool must_have_been_taken = false;
    for (const auto& end : ends) {
      if (end.fate == Fate::refused) continue;
      // One without an answer may come at any time after it was asked for.
      const bool is_over = end.fate == Fate::done && end.returned < message.invoked;
      may_have_been_taken = may_have_been_taken || !is_over;
      const bool was_there = end.is_kill || message.is_call;
      must_have_been_taken = must_have_been_taken || (end.fate == Fate::done && was_there &&
                                                      message.returned < end.invoked);
    }
    if (times == 0 && !may_have_been_taken) blame(message, "was acknowledged and is lost");
    if (times > 0 && must_have_been_taken) blame(message, "is there although its life was ended");
  }
  return wrong;
}

}  // namespace semper::testing
