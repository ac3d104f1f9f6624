// error: static assertion failed: handle_cast returns void or semper::Outcome
#include "thing.h"

struct Talkative : Thing {
  std::string handle_cast(const Thing::Add&, State&, semper::Context&) { return "done"; }
};

void serve(semper::Host& host) {
  host.serve<Talkative>();
}
