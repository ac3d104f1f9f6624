// A ring in the folder of a test, and the commands of the tool on it.
#pragma once

#include <string>

#include "tool.h"

namespace semper::testing {

class CliRing : public CliTest {
 protected:
  std::string ring() const { return path("queue.ring"); }

  // On the test's own ring: WORDS PATH MORE.
  Words on_ring(Words words, const Words& more = {}) const {
    words.insert(words.begin(), "ring");
    words.push_back(ring());
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  void create_ring(const Words& more = {"--size", "1MiB"}) { must(on_ring({"create"}, more)); }
  std::string produce(const std::string& input, const Words& more = {}) {
    return must(on_ring({"produce"}, more), input);
  }
  std::string consume(const Words& more = {}) { return must(on_ring({"consume"}, more)); }
  nlohmann::json info() { return must_json(on_ring({"info"})); }
};

}  // namespace semper::testing
