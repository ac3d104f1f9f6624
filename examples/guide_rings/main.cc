// semper-guide_rings: the lessons of the guide to rings and journals, one after the other, in a
// folder of their own that is removed afterwards.
//
//   semper-guide_rings
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "lessons.h"
#include "semper/env/standard_streams.h"

namespace {

semper::Async<void> count(semper::BlockDevice& device, std::string url) {
  std::vector<std::int64_t> readings;
  readings.push_back(300);
  readings.push_back(200);
  SEMPER_CO_TRY_STATUS(co_await guide::count_exactly_once(device, url, readings));

  SEMPER_CO_TRY(auto store, co_await semper::open_store(url));
  semper::Host host(store);
  host.serve<guide::Meter>();
  SEMPER_CO_TRY_STATUS(co_await host.start());
  auto meter = semper::ref<guide::Meter>(store, "house 12");
  const guide::Meter::Total total;
  SEMPER_CO_TRY(const auto watt_hours, co_await meter.call(total));
  std::cout << "house 12: " << watt_hours << " Wh\n";
  SEMPER_CO_TRY_STATUS(co_await host.stop());
  co_return co_await store.close();
}

semper::Async<void> tour(std::string folder) {
  const std::string path = folder + "/readings.ring";
  SEMPER_CO_TRY_STATUS(co_await guide::make_ring(path));
  SEMPER_CO_TRY(auto device, semper::open_block_device(path));

  std::vector<semper::Bytes> readings;
  readings.emplace_back("07:00 300 Wh");
  readings.emplace_back("08:00 200 Wh");
  SEMPER_CO_TRY_STATUS(co_await guide::record(*device, readings));
  SEMPER_CO_TRY_STATUS(co_await guide::record_in_two_steps(*device, "09:00 250 Wh"));

  const guide::Send print = [](const std::string& reading) -> semper::Status {
    std::cout << reading << '\n';
    return {};
  };
  SEMPER_CO_TRY(const auto sent, co_await guide::forward(*device, print));
  std::cout << sent << " readings sent\n";

  std::vector<std::string> later;
  later.emplace_back("10:00 100 Wh");
  SEMPER_CO_TRY_STATUS(co_await guide::journal_and_send(*device, later, print));
  co_return co_await count(*device, "sqlite:" + folder + "/meters.db");
}

}  // namespace

int main(int argc, char**) {
  semper::guard_standard_streams();
  if (argc > 1) {
    std::cerr << "usage: semper-guide_rings\n";
    return 2;
  }
  std::string folder = std::filesystem::temp_directory_path() / "semper-guide-XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) {
    std::cerr << "semper-guide_rings: cannot make a folder " << folder << '\n';
    return 1;
  }
  semper::Status done;
  {
    semper::Scheduler scheduler;
    done = scheduler.block_on(tour(folder));
  }
  std::filesystem::remove_all(folder);
  if (!done) std::cerr << "semper-guide_rings: " << done.error().message() << '\n';
  return done ? 0 : 1;
}
