#include "rpc/addresses.h"

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <string_view>

#include "rpc/refusals.h"
#include "semper/env/clock.h"
#include "semper/env/internal/blocking_call.h"
#include "semper/env/one_shot.h"

namespace semper::rpc {
namespace {

std::atomic<int> lookups_at_once{0};

// The name that has to be looked up; empty: none.
std::string name_in(std::string address) {
  constexpr std::string_view kDns = "dns:";
  if (address.starts_with(kDns)) address.erase(0, std::max(kDns.size(), address.rfind('/') + 1));
  if (is_target(address)) return "";
  const auto place = parse_host_and_port(address);
  return place && !place->in_brackets ? place->host : "";
}

std::size_t look_up_all(const std::string& name) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(name.c_str(), nullptr, &hints, &found) != 0) return 1;
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> all(found, ::freeaddrinfo);
  std::size_t count = 0;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) ++count;
  return std::max<std::size_t>(count, 1);
}

}  // namespace

Task<std::size_t> count_addresses(std::string address, Duration patience) {
  if (address.starts_with("ipv4:") || address.starts_with("ipv6:")) {
    co_return 1 + static_cast<std::size_t>(std::count(address.begin(), address.end(), ','));
  }
  const std::string name = name_in(std::move(address));
  const bool is_number = name.find_first_not_of("0123456789.") == std::string::npos;
  if (is_number) co_return 1;
  if (lookups_at_once.fetch_add(1) >= kLookupsAtOnce) {
    --lookups_at_once;
    co_return 1;
  }
  OneShot<std::size_t> counted;
  // It may go on when nobody waits any more: a name server can take a minute.
  std::function<void()> work = [name, counted]() mutable {
    counted.set(look_up_all(name));
    --lookups_at_once;
  };
  if (!internal::start_blocking(std::move(work))) {
    --lookups_at_once;
    co_return 1;
  }
  const auto until = system_clock().after(patience);
  const auto count = co_await counted.wait_until(system_clock(), until);
  co_return count ? *count : 1;
}

}  // namespace semper::rpc
