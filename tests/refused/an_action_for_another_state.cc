// error: no matching function for call to .*then
#include "thing.h"

semper::Reply<int> reply(Thing::State& s) {
  return semper::Reply<int>(s.count).then(s, [](const std::string& other) { return other.size(); });
}
