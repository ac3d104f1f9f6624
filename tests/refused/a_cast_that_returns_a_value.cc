// error: static assertion failed: handle_cast returns void, semper::Outcome, or a Task of one of
// them
#include "thing.h"

struct Talkative : Thing {
  std::string handle_cast(const Thing::Add&, State&, semper::Context&) { return "done"; }
};

void serve(semper::Host& host) {
  host.serve<Talkative>();
}
