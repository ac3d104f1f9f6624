#include "env/otlp_request.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <system_error>

#include "semper/base/bytes.h"
#include "semper/base/internal/thrown.h"
#include "semper/env/asio_net.h"

namespace semper::internal {
namespace {

// Of a request under way, whether it may go on.
constexpr auto kLook = std::chrono::milliseconds(50);
constexpr std::string_view kScheme = "http://";
constexpr std::string_view kSecureScheme = "https://";

Error bad_endpoint(std::string_view text, const std::string& why) {
  return Error(ErrorKind::invalid_argument, "the endpoint of spans \"" + to_printable(text, 128) +
                                                "\" " + why + "; give it as http://localhost:4318");
}

std::optional<std::uint64_t> number_in(std::string_view text) {
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (text.empty() || error != std::errc() || stop != end) return std::nullopt;
  return number;
}

// Its addresses, if it is this machine's.
std::vector<std::string> loopback_addresses(const std::string& host) {
  if (host == "localhost") return {"127.0.0.1", "::1"};
  std::error_code error;
  const auto address = asio::ip::make_address(host, error);
  if (error || !address.is_loopback()) return {};
  return {host};
}

bool is_token(std::string_view name) {
  constexpr std::string_view kOthers = "!#$%&'*+-.^_`|~";
  const auto fits = [&](unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           kOthers.find(static_cast<char>(c)) != std::string_view::npos;
  };
  return !name.empty() && std::all_of(name.begin(), name.end(), fits);
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool is_coded = text[i] == '%' && i + 2 < text.size() && digit_of(text[i + 1]) >= 0 &&
                          digit_of(text[i + 2]) >= 0;
    if (is_coded) {
      out.push_back(static_cast<char>(digit_of(text[i + 1]) * 16 + digit_of(text[i + 2])));
      i += 2;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

Error io_error(const OtlpEndpoint& endpoint, const std::error_code& error) {
  return Error(ErrorKind::io, "sending spans to " + endpoint.host + ": " + error.message());
}

using Outcome = Result<std::string>;

asio::awaitable<void> exchange(const OtlpEndpoint& endpoint, std::string request,
                               std::optional<Outcome>& outcome) {
  const auto executor = co_await asio::this_coro::executor;
  std::error_code error = asio::error::host_not_found;
  asio::ip::tcp::socket socket(executor);
  for (const auto& address : endpoint.addresses) {
    std::error_code ignored;
    socket.close(ignored);
    const asio::ip::tcp::endpoint to(asio::ip::make_address(address), endpoint.port);
    co_await socket.async_connect(to, asio::redirect_error(asio::use_awaitable, error));
    if (!error) break;
  }
  if (!error) {
    co_await asio::async_write(socket, asio::buffer(request),
                               asio::redirect_error(asio::use_awaitable, error));
  }
  std::string answer;
  std::string chunk(4096, '\0');
  while (!error && answer.size() < kOtlpAnswerBytes && !is_whole_answer(answer)) {
    const std::size_t size = co_await socket.async_read_some(
        asio::buffer(chunk), asio::redirect_error(asio::use_awaitable, error));
    answer.append(chunk, 0, size);
  }
  // A connection that is reset behind its answer has given one.
  const bool has_answer = !answer.empty() || !error || error == asio::error::eof;
  if (has_answer) {
    outcome.emplace(std::move(answer));
  } else {
    outcome.emplace(fail(io_error(endpoint, error)));
  }
}

}  // namespace

Result<OtlpEndpoint> parse_otlp_endpoint(std::string_view text) {
  if (text.starts_with(kSecureScheme)) {
    return fail(ErrorKind::unsupported,
                "spans are sent without encryption, and so to this machine only: let a collector "
                "here (http://localhost:4318) pass them on to " +
                    to_printable(text, 128));
  }
  if (!text.starts_with(kScheme)) return fail(bad_endpoint(text, "does not begin with http://"));
  std::string_view rest = text.substr(kScheme.size());
  OtlpEndpoint endpoint;
  const auto slash = rest.find('/');
  std::string_view authority = rest.substr(0, slash);
  if (slash != std::string_view::npos) endpoint.path = rest.substr(slash);
  if (endpoint.path.empty() || endpoint.path == "/") endpoint.path = kOtlpPath;
  const auto is_odd = [](unsigned char c) { return c <= ' ' || c >= 0x7f; };
  if (std::any_of(text.begin(), text.end(), is_odd)) {
    return fail(bad_endpoint(text, "has characters that an address has not"));
  }
  std::string host;
  if (authority.starts_with('[')) {
    const auto end = authority.find(']');
    if (end == std::string_view::npos) return fail(bad_endpoint(text, "has a [ without a ]"));
    host = authority.substr(1, end - 1);
    authority.remove_prefix(end + 1);
  } else {
    host = authority.substr(0, authority.find(':'));
    authority.remove_prefix(host.size());
  }
  if (!authority.empty()) {
    const auto port = authority.front() == ':' ? number_in(authority.substr(1)) : std::nullopt;
    if (!port || *port == 0 || *port > 65'535) return fail(bad_endpoint(text, "has no such port"));
    endpoint.port = static_cast<std::uint16_t>(*port);
  }
  if (host.empty()) return fail(bad_endpoint(text, "has no host"));
  endpoint.addresses = loopback_addresses(host);
  if (endpoint.addresses.empty()) {
    return fail(ErrorKind::unsupported,
                "spans are sent without encryption, and so to this machine only (localhost, "
                "127.0.0.1, [::1]), not to " +
                    to_printable(host, 128) + ": let a collector here pass them on");
  }
  const bool is_v6 = host.find(':') != std::string::npos;
  endpoint.host = (is_v6 ? "[" + host + "]" : host) + ":" + std::to_string(endpoint.port);
  return endpoint;
}

Status check_headers(const HttpHeaders& headers) {
  for (const auto& [name, value] : headers) {
    const auto is_control = [](unsigned char c) { return c < ' ' || c == 0x7f; };
    if (is_token(name) && std::none_of(value.begin(), value.end(), is_control)) continue;
    return fail(ErrorKind::invalid_argument,
                "the header \"" + to_printable(name, 64) + "\" of requests with spans is none");
  }
  return {};
}

Result<HttpHeaders> parse_otlp_headers(std::string_view text) {
  HttpHeaders headers;
  while (!text.empty()) {
    const auto comma = text.find(',');
    const std::string_view one = trimmed(text.substr(0, comma));
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
    if (one.empty()) continue;
    const auto equals = one.find('=');
    if (equals == std::string_view::npos) {
      return fail(ErrorKind::invalid_argument,
                  "OTEL_EXPORTER_OTLP_HEADERS is a list of name=value, separated by commas");
    }
    headers.emplace_back(trimmed(one.substr(0, equals)),
                         percent_decoded(trimmed(one.substr(equals + 1))));
  }
  SEMPER_TRY_STATUS(check_headers(headers));
  return headers;
}

std::string otlp_request(const OtlpEndpoint& endpoint, const HttpHeaders& headers,
                         std::string_view body) {
  std::string request = "POST " + endpoint.path + " HTTP/1.1\r\nHost: " + endpoint.host +
                        "\r\nContent-Type: application/json\r\nConnection: close\r\n"
                        "Content-Length: " +
                        std::to_string(body.size()) + "\r\n";
  for (const auto& [name, value] : headers) request += name + ": " + value + "\r\n";
  return request.append("\r\n").append(body);
}

Result<OtlpAnswer> parse_otlp_answer(std::string_view bytes) {
  constexpr std::string_view kVersion = "HTTP/1.";
  constexpr std::size_t kStatusAt = kVersion.size() + 2;  // behind "1 " or "0 "
  OtlpAnswer answer;
  std::optional<std::uint64_t> status;
  if (bytes.starts_with(kVersion) && bytes.size() >= kStatusAt + 3) {
    status = number_in(bytes.substr(kStatusAt, 3));
  }
  if (!status) return fail(ErrorKind::io, "the answer to spans is none of HTTP");
  answer.status = static_cast<int>(*status);
  constexpr std::string_view kRejected = "\"rejectedSpans\":";
  const auto at = bytes.find(kRejected);
  if (at == std::string_view::npos) return answer;
  std::string_view count = trimmed(bytes.substr(at + kRejected.size()));
  if (count.starts_with('"')) count.remove_prefix(1);
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const auto end = std::find_if_not(count.begin(), count.end(), is_digit);
  const auto length = static_cast<std::size_t>(end - count.begin());
  answer.rejected = number_in(count.substr(0, length)).value_or(0);
  return answer;
}

bool is_whole_answer(std::string_view bytes) {
  constexpr std::string_view kEnd = "\r\n\r\n";
  constexpr std::string_view kLength = "\r\ncontent-length:";
  constexpr std::string_view kLastChunk = "\r\n0\r\n\r\n";
  const auto end = bytes.find(kEnd);
  if (end == std::string_view::npos) return false;
  std::string head(bytes.substr(0, end));
  std::transform(head.begin(), head.end(), head.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  const auto at = head.find(kLength);
  if (at == std::string::npos) return bytes.substr(end).ends_with(kLastChunk);
  const std::string_view rest = std::string_view(head).substr(at + kLength.size());
  const auto length = number_in(trimmed(rest.substr(0, rest.find('\r'))));
  return length && bytes.size() - end - kEnd.size() >= *length;
}

Result<OtlpAnswer> send_otlp(const OtlpEndpoint& endpoint, const HttpHeaders& headers,
                             std::string_view body, Duration at_most,
                             const std::function<bool()>& may_go_on) {
  const auto until = std::chrono::steady_clock::now() + at_most;
  std::optional<Outcome> outcome;
  try {
    asio::io_context loop(1);
    asio::co_spawn(loop, exchange(endpoint, otlp_request(endpoint, headers, body), outcome),
                   asio::detached);
    while (!outcome && std::chrono::steady_clock::now() < until && may_go_on()) {
      loop.run_for(kLook);
    }
  } catch (const std::exception& thrown) {
    // Memory or descriptors that ran out.
    return fail(ErrorKind::io,
                "sending spans to " + endpoint.host + ": " + internal::text_of(thrown));
  }
  if (!outcome) {
    return fail(ErrorKind::timeout, "sending spans to " + endpoint.host + ": no answer in time");
  }
  if (!*outcome) return fail(outcome->error());
  return parse_otlp_answer(**outcome);
}

}  // namespace semper::internal
