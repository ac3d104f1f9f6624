// Did a stream say what it must, in the order of semper/durable/stream_events.h? Told event by
// event.
//
// Updates are numbered from 1, as their server published them; a state is the number of the last
// update that is in it. What must hold:
//   - each attempt begins with Attempting, and ends in Failed, or in Success (or Resumed) and then
//     Lost;
//   - of a stream with state, State follows each Success directly, and comes nowhere else;
//   - between a State (or Resumed) and the next Gap or Lost no update is lost, repeated or out of
//     order, and after Resumed they go on where they were;
//   - a Success where Resumed would have been possible has a Gap before it. (The source gives
//     tokens with all that it sends.)
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace semper::testing {

enum class StreamStep : std::uint8_t {
  attempting,
  success,
  resumed,
  state,   // with the number of its last update
  update,  // with its number
  gap,
  lost,
  failed,
};

class StreamLaws {
 public:
  enum class Kind : std::uint8_t { with_state, without_state };
  explicit StreamLaws(Kind kind) : kind_(kind) {}

  void told(StreamStep step, std::uint64_t number = 0);

  // Of the last State or update.
  std::uint64_t at() const { return at_; }
  const std::vector<std::string>& wrong() const { return wrong_; }

 private:
  enum class Place : std::uint8_t { apart, attempting, wants_state, connected };

  void blame(const std::string& what) { wrong_.push_back("the stream " + what); }
  void expect(bool holds, const char* what);
  void update(std::uint64_t number);

  const Kind kind_;
  Place place_ = Place::apart;
  bool is_known_ = false;  // which update comes next
  bool may_resume_ = false;  // the source has told where
  std::uint64_t at_ = 0;
  std::vector<std::string> wrong_;
};

}  // namespace semper::testing
