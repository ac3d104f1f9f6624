#include "server/calendar/zone_clock.h"

#include <cctz/civil_time.h>
#include <cctz/time_zone.h>

#include <algorithm>
#include <string>

#include "semper/base/bytes.h"
#include "semper/server/cron.h"

namespace semper::internal {
namespace {

using Moment = cctz::time_point<cctz::seconds>;

std::int64_t on_its_calendar(const cctz::civil_second& shown) {
  return shown - cctz::civil_second();
}

// Names only, not paths and other things that the library would look at.
bool may_be_a_zone(std::string_view name) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/' ||
           c == '_' || c == '-' || c == '+';
  };
  return !name.empty() && name.size() <= kCronZoneBytes && name.front() != '/' &&
         name.find("..") == std::string_view::npos && std::all_of(name.begin(), name.end(), fits);
}

// Files beside those of the zones: what one machine or another has chosen, and clocks that count
// leap seconds. Hosts would not agree on them.
bool is_of_the_machine(std::string_view name) {
  return name == "localtime" || name == "posixrules" || name.starts_with("right/") ||
         name.starts_with("posix/");
}

class LibraryClock final : public ZoneClock {
 public:
  explicit LibraryClock(cctz::time_zone zone) : zone_(zone) {}

  Even at(std::int64_t moment) const override {
    const Moment when{cctz::seconds(moment)};
    Even even;
    even.ahead = zone_.lookup(when).offset;
    cctz::time_zone::civil_transition change;
    if (zone_.prev_transition(when + cctz::seconds(1), &change)) {
      even.has_change = true;
      even.begin = on_its_calendar(change.to) - even.ahead;
      even.shown = on_its_calendar(change.from);
    }
    if (zone_.next_transition(when, &change)) {
      even.end = on_its_calendar(change.from) - even.ahead;
    }
    return even;
  }

 private:
  const cctz::time_zone zone_;
};

}  // namespace

Result<std::shared_ptr<const ZoneClock>> ZoneClock::load(std::string_view zone) {
  if (!may_be_a_zone(zone)) {
    return fail(ErrorKind::invalid_argument,
                "time zone \"" + to_printable(zone, 64) +
                    "\" is no name of the IANA database, such as Europe/Berlin or UTC");
  }
  if (is_of_the_machine(zone)) {
    return fail(ErrorKind::invalid_argument,
                "time zone " + std::string(zone) +
                    " is a file of this machine and no zone of the IANA database; name the zone "
                    "that is meant, such as Europe/Berlin, or UTC");
  }
  cctz::time_zone found;
  if (!cctz::load_time_zone(std::string(zone), &found)) {
    return fail(ErrorKind::not_found,
                "time zone " + std::string(zone) +
                    " is not known on this machine; where the name is right, install or update its "
                    "data (Debian: tzdata), and start this program again");
  }
  return std::make_shared<const LibraryClock>(found);
}

}  // namespace semper::internal
