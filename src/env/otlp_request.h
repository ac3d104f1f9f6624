// One OTLP/HTTP request of a SpanSender, and what its endpoint and answer say.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "semper/base/result.h"
#include "semper/base/time.h"

namespace semper::internal {

inline constexpr std::uint16_t kOtlpPort = 4318;
inline constexpr std::string_view kOtlpPath = "/v1/traces";
// Of an answer; what is longer is not read.
inline constexpr std::size_t kOtlpAnswerBytes = 64u << 10;

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

struct OtlpEndpoint {
  std::string host;  // as in the header Host, with the port
  std::vector<std::string> addresses;
  std::uint16_t port = kOtlpPort;
  std::string path;
};

// Errors: those of SpanSender::start.
Result<OtlpEndpoint> parse_otlp_endpoint(std::string_view text);
// "a=b,c=d", with %XX in the values, as OTEL_EXPORTER_OTLP_HEADERS has them.
Result<HttpHeaders> parse_otlp_headers(std::string_view text);
Status check_headers(const HttpHeaders& headers);

std::string otlp_request(const OtlpEndpoint& endpoint, const HttpHeaders& headers,
                         std::string_view body);

struct OtlpAnswer {
  int status = 0;
  std::uint64_t rejected = 0;  // spans, of those that were taken otherwise

  bool is_success() const { return status >= 200 && status < 300; }
  bool may_pass() const { return status == 429 || status == 502 || status == 503 || status == 504; }
};
// Error io: it is no answer of HTTP.
Result<OtlpAnswer> parse_otlp_answer(std::string_view bytes);

// Whether the whole answer is there, whatever becomes of the connection.
bool is_whole_answer(std::string_view bytes);

// Sends it, and reads the answer. Blocks the thread until then, for so long, or until `may_go_on`
// says no. Errors: io, timeout.
Result<OtlpAnswer> send_otlp(const OtlpEndpoint& endpoint, const HttpHeaders& headers,
                             std::string_view body, Duration at_most,
                             const std::function<bool()>& may_go_on);

}  // namespace semper::internal
