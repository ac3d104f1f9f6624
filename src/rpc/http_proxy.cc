#include "rpc/http_proxy.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <string_view>

namespace semper::rpc {
namespace {

constexpr const char* kProxyVariables[] = {"grpc_proxy", "https_proxy", "http_proxy"};
constexpr const char* kExceptionVariables[] = {"no_grpc_proxy", "no_proxy", "NO_PROXY"};
constexpr std::string_view kProxyScheme = "http://";

std::string lower(std::string_view text) {
  std::string made(text);
  std::transform(made.begin(), made.end(), made.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return made;
}

struct Place {
  std::string host;  // lower case, without brackets
  std::string port;
};

// "[::1]:80", "::1", "db:2379", "db"
Place place_of(std::string_view text) {
  Place place;
  if (text.starts_with('[')) {
    const auto end = std::min(text.find(']'), text.size());
    place.host = lower(text.substr(1, end - 1));
    if (text.substr(end).starts_with("]:")) place.port = text.substr(end + 2);
    return place;
  }
  const auto colon = text.find(':');
  const bool one = colon != std::string_view::npos && text.find(':', colon + 1) == text.npos;
  place.host = lower(one ? text.substr(0, colon) : text);
  if (one) place.port = text.substr(colon + 1);
  return place;
}

// Without the scheme of a target; nothing: a socket of this machine.
std::optional<std::string_view> authority_of(std::string_view target) {
  if (target.starts_with("unix:") || target.starts_with("unix-abstract:")) return std::nullopt;
  for (const std::string_view scheme : {"dns:", "ipv4:", "ipv6:"}) {
    if (!target.starts_with(scheme)) continue;
    target.remove_prefix(scheme.size());
    if (target.starts_with("//"))
      target.remove_prefix(std::min(target.find('/', 2), target.size()));
    if (target.starts_with('/')) target.remove_prefix(1);
    break;
  }
  return target;
}

// An address of the network as bytes, IPv4 in IPv6's form.
using Address = std::array<unsigned char, 16>;
constexpr int kV4PrefixBits = 96;

struct ParsedAddress {
  Address bytes{};
  bool v4 = false;
};

std::optional<ParsedAddress> parse_address(const std::string& text) {
  ParsedAddress parsed;
  if (inet_pton(AF_INET6, text.c_str(), parsed.bytes.data()) == 1) return parsed;
  in_addr v4{};
  if (inet_pton(AF_INET, text.c_str(), &v4) != 1) return std::nullopt;
  parsed.v4 = true;
  parsed.bytes[10] = parsed.bytes[11] = 0xff;
  std::copy_n(reinterpret_cast<const unsigned char*>(&v4), sizeof v4, parsed.bytes.data() + 12);
  return parsed;
}

bool in_network(const Address& address, const Address& network, int bits) {
  for (int bit = 0; bit < bits; ++bit) {
    const auto byte = static_cast<std::size_t>(bit / 8);
    const int mask = 0x80 >> (bit % 8);
    if ((address[byte] & mask) != (network[byte] & mask)) return false;
  }
  return true;
}

bool is_this_machine(const std::string& host) {
  if (host == "localhost" || host.ends_with(".localhost")) return true;
  const auto address = parse_address(host);
  if (!address) return false;
  static const Address v4 = parse_address("127.0.0.0")->bytes;
  static const Address v6 = parse_address("::1")->bytes;
  return in_network(address->bytes, v4, kV4PrefixBits + 8) || address->bytes == v6;
}

// "10.0.0.0/8"
bool matches_network(const std::string& host, std::string_view entry) {
  const auto slash = entry.find('/');
  if (slash == std::string_view::npos) return false;
  const auto address = parse_address(host);
  const auto network = parse_address(place_of(entry.substr(0, slash)).host);
  int bits = -1;
  const auto digits = entry.substr(slash + 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
  if (!address || !network || error != std::errc() || end != digits.data() + digits.size()) {
    return false;
  }
  if (network->v4) bits += kV4PrefixBits;
  return bits >= 0 && bits <= 128 && in_network(address->bytes, network->bytes, bits);
}

bool is_excepted(const Place& place, std::string_view entry) {
  if (entry.empty()) return false;
  if (entry == "*" || matches_network(place.host, entry)) return true;
  auto name = place_of(entry);
  if (!name.port.empty() && name.port != place.port) return false;
  if (name.host.starts_with("*.")) name.host.erase(0, 1);
  // gRPC's rule, also without a dot before it.
  return !name.host.empty() && place.host.ends_with(name.host);
}

bool is_excepted_by_list(const Place& place, std::string_view list) {
  while (!list.empty()) {
    const auto comma = std::min(list.find(','), list.size());
    auto entry = list.substr(0, comma);
    list.remove_prefix(std::min(comma + 1, list.size()));
    while (entry.starts_with(' ')) entry.remove_prefix(1);
    while (entry.ends_with(' ')) entry.remove_suffix(1);
    if (is_excepted(place, entry)) return true;
  }
  return false;
}

}  // namespace

std::optional<EnvironmentProxy> environment_proxy(const std::string& target,
                                                  const EnvironmentLookup& lookup) {
  EnvironmentProxy proxy;
  for (const char* variable : kProxyVariables) {
    const char* const value = lookup(variable);
    if (value == nullptr || *value == '\0') continue;
    proxy.variable = variable;
    proxy.url = value;
    break;
  }
  // gRPC connects directly where the proxy has another scheme, or none.
  if (!lower(proxy.url).starts_with(kProxyScheme)) return std::nullopt;
  const auto authority = authority_of(target);
  if (!authority) return std::nullopt;
  const Place place = place_of(*authority);
  if (is_this_machine(place.host)) return std::nullopt;
  for (const char* variable : kExceptionVariables) {
    const char* const value = lookup(variable);
    if (value == nullptr || *value == '\0') continue;
    if (is_excepted_by_list(place, value)) return std::nullopt;
    break;
  }
  const auto user_end = proxy.url.rfind('@');
  if (user_end != std::string::npos) {
    proxy.url.erase(kProxyScheme.size(), user_end + 1 - kProxyScheme.size());
  }
  return proxy;
}

std::optional<EnvironmentProxy> environment_proxy(const std::string& target) {
  return environment_proxy(target, [](const char* name) { return std::getenv(name); });
}

}  // namespace semper::rpc
