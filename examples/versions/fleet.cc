#include "fleet.h"

#include <chrono>
#include <utility>

namespace fleet {

using namespace std::chrono_literals;

semper::Async<std::map<std::string, std::int64_t>> upgrade_one_by_one(
    std::string url, std::function<void(const std::string&)> say) {
  // Each of these would be a process of its own, with a handle of its own.
  SEMPER_CO_TRY(const auto of_first, co_await semper::open_store(url));
  SEMPER_CO_TRY(const auto of_second, co_await semper::open_store(url));
  SEMPER_CO_TRY(const auto of_sender, co_await semper::open_store(url));

  semper::Host first(of_first, {.name = "release 1"});
  first.serve<release1::Stock>();
  SEMPER_CO_TRY_STATUS(co_await first.start());
  const auto stock = semper::ref<release2::Stock>(of_sender, "nails");
  SEMPER_CO_TRY(const auto delivered, co_await stock.call<release1::Stock::Deliver>(100));
  say("release 1 has " + std::to_string(delivered));

  // A sender of the second release is quicker than its hosts: what release 1 does not know waits.
  SEMPER_CO_TRY_STATUS(co_await stock.cast<release2::Stock::Move>("main", "north", 30));
  SEMPER_CO_TRY_STATUS(co_await stock.cast<release1::Stock::Deliver>(5));
  semper::Clock& clock = *of_sender.env().clock;
  SEMPER_CO_TRY_STATUS(co_await semper::sleep_for(clock, 50ms));
  SEMPER_CO_TRY(const auto waiting, co_await stock.queue_length());
  say(std::to_string(waiting) + " messages wait for release 2");

  semper::Host second(of_second, {.name = "release 2"});
  second.serve<release2::Stock>();
  SEMPER_CO_TRY_STATUS(co_await second.start());
  semper::CallOptions patient;
  patient.timeout = 30s;
  SEMPER_CO_TRY(const auto counted, co_await stock.call<release2::Stock::Count>(patient));
  for (const auto& [warehouse, pieces] : counted) {
    say("release 2 has " + std::to_string(pieces) + " in " + warehouse);
  }

  // The state is release 2's now. A call in a process of release 1 is told so, and changes nothing.
  const auto old_ref = semper::ref<release1::Stock>(of_first, "nails");
  const auto refused = co_await old_ref.call<release1::Stock::Deliver>(1);
  say(refused ? "release 1 wrote it all the same" : refused.error().to_string());
  // Everybody else's messages find release 2, while both run.
  SEMPER_CO_TRY_STATUS(co_await stock.call<release1::Stock::Deliver>(patient, 1));

  SEMPER_CO_TRY_STATUS(co_await first.stop());
  SEMPER_CO_TRY(const auto in_the_end, co_await stock.call<release2::Stock::Count>(patient));
  SEMPER_CO_TRY_STATUS(co_await second.stop());
  co_return in_the_end;
}

}  // namespace fleet
