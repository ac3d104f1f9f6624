#include "stream_laws.h"

namespace semper::testing {

void StreamLaws::expect(bool holds, const char* what) {
  if (!holds) blame(what);
}

void StreamLaws::update(std::uint64_t number) {
  expect(place_ == Place::connected, "gave an update where it was not connected");
  if (is_known_ && number != at_ + 1) {
    blame("gave update " + std::to_string(number) + " after " + std::to_string(at_));
  }
  at_ = number;
  is_known_ = true;
}

void StreamLaws::told(StreamStep step, std::uint64_t number) {
  if (place_ == Place::wants_state) {
    expect(step == StreamStep::state, "gave no State directly after a Success");
  }
  switch (step) {
    case StreamStep::attempting:
      expect(place_ == Place::apart, "began an attempt beside another one");
      place_ = Place::attempting;
      break;
    case StreamStep::failed:
      expect(place_ == Place::attempting, "failed without an attempt");
      place_ = Place::apart;
      break;
    case StreamStep::success:
      expect(place_ == Place::attempting, "connected without an attempt");
      expect(!may_resume_, "began anew and did not say that updates may be lost");
      may_resume_ = true;
      place_ = kind_ == Kind::with_state ? Place::wants_state : Place::connected;
      is_known_ = false;
      break;
    case StreamStep::resumed:
      expect(place_ == Place::attempting, "resumed without an attempt");
      place_ = Place::connected;
      break;
    case StreamStep::state:
      expect(place_ == Place::wants_state, "gave a State that does not follow a Success");
      place_ = Place::connected;
      at_ = number;
      is_known_ = true;
      break;
    case StreamStep::update:
      update(number);
      break;
    case StreamStep::gap:
      is_known_ = may_resume_ = false;
      break;
    case StreamStep::lost:
      expect(place_ == Place::connected, "lost a connection that was not there");
      place_ = Place::apart;
      break;
  }
}

}  // namespace semper::testing
