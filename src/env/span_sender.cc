#include "semper/env/span_sender.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include "env/otlp_request.h"
#include "env/quiet_thread.h"
#include "semper/base/log.h"
#include "semper/env/fork.h"

namespace semper {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

}  // namespace

struct SpanSender::Worker {
  Worker(internal::OtlpEndpoint to, SpanSenderOptions given)
      : endpoint(std::move(to)), options(std::move(given)), buffer(options.buffer) {}

  void run() {
    while (buffer.wait()) {
      const std::size_t before = buffer.size();
      const std::string line = buffer.take_line();
      send(line, std::min(before, kSpansPerLine));
    }
  }

  // Until it is taken, refused, or there is no more time.
  void send(const std::string& line, std::size_t count) {
    Duration pause = kSpanRetryFirst;
    while (true) {
      auto answer = internal::send_otlp(endpoint, options.headers, line, options.timeout,
                                        [this] { return has_time(); });
      if (answer && answer->is_success()) {
        const std::uint64_t rejected = std::min<std::uint64_t>(answer->rejected, count);
        sent.fetch_add(count - rejected, std::memory_order_relaxed);
        lost.fetch_add(rejected, std::memory_order_relaxed);
        is_failing = false;
        return;
      }
      const bool may_pass = !answer || answer->may_pass();
      say(answer);
      if (!may_pass || !wait(pause)) break;
      pause = std::min(pause * 2, kSpanRetryLast);
    }
    lost.fetch_add(count, std::memory_order_relaxed);
  }

  // Of a row of failures the first.
  void say(const Result<internal::OtlpAnswer>& answer) {
    if (std::exchange(is_failing, true)) return;
    const std::string why =
        answer ? endpoint.host + " answered " + std::to_string(answer->status) + " to spans"
               : answer.error().to_string();
    log_warning("spans", why + "; spans that cannot be sent are dropped when the buffer is full");
  }

  // Once the sender is being destroyed, that has a bound.
  bool has_time() {
    std::lock_guard lock(mutex);
    return !is_ending || std::chrono::steady_clock::now() < end;
  }
  // Before another attempt, of which there is one when the sender is being destroyed. False: there
  // is no more.
  bool wait(Duration pause) {
    std::unique_lock lock(mutex);
    if (is_ending) return false;
    ending.wait_for(lock, pause, [this] { return is_ending; });
    return true;
  }
  void finish() {
    {
      std::lock_guard lock(mutex);
      is_ending = true;
      end = std::chrono::steady_clock::now() + options.flush;
    }
    ending.notify_all();
    buffer.close();
    thread.join();
  }

  const internal::OtlpEndpoint endpoint;
  const SpanSenderOptions options;
  SpanBuffer buffer;
  std::atomic<std::uint64_t> sent{0};
  std::atomic<std::uint64_t> lost{0};
  bool is_failing = false;  // the thread's
  std::mutex mutex;
  std::condition_variable ending;
  bool is_ending = false;  // guarded by the mutex, as what follows
  SteadyTime end{};
  std::thread thread;
  const ForkGuard fork{};
};

Result<std::unique_ptr<SpanSender>> SpanSender::start(std::string endpoint,
                                                      SpanSenderOptions options) {
  SEMPER_TRY(auto to, internal::parse_otlp_endpoint(endpoint));
  SEMPER_TRY_STATUS(internal::check_headers(options.headers));
  auto worker = std::make_unique<Worker>(std::move(to), std::move(options));
  SEMPER_TRY_STATUS(internal::start_quiet_thread(worker->thread, "semper-spans", "to send spans",
                                                 [own = worker.get()] { own->run(); }));
  return std::unique_ptr<SpanSender>(new SpanSender(std::move(worker)));
}

Result<std::unique_ptr<SpanSender>> SpanSender::from_environment(SpanSenderOptions options) {
  std::string endpoint = variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
  if (endpoint.empty()) {
    endpoint = variable("OTEL_EXPORTER_OTLP_ENDPOINT");
    if (endpoint.empty()) return std::unique_ptr<SpanSender>();
    while (endpoint.ends_with('/')) endpoint.pop_back();
    endpoint += internal::kOtlpPath;
  }
  const std::string protocol = variable("OTEL_EXPORTER_OTLP_PROTOCOL");
  if (!protocol.empty() && protocol != "http/json") {
    return fail(ErrorKind::unsupported,
                "spans are sent as http/json; OTEL_EXPORTER_OTLP_PROTOCOL "
                "asks for " +
                    to_printable(protocol, 64));
  }
  const std::string service = variable("OTEL_SERVICE_NAME");
  if (!service.empty()) options.buffer.service = service;
  SEMPER_TRY(auto headers, internal::parse_otlp_headers(variable("OTEL_EXPORTER_OTLP_HEADERS")));
  for (auto& header : headers) options.headers.push_back(std::move(header));
  const std::string timeout = variable("OTEL_EXPORTER_OTLP_TIMEOUT");
  if (!timeout.empty()) {
    std::uint32_t milliseconds = 0;
    const char* const end = timeout.data() + timeout.size();
    const auto [stop, error] = std::from_chars(timeout.data(), end, milliseconds);
    if (error != std::errc() || stop != end || milliseconds == 0) {
      return fail(ErrorKind::invalid_argument,
                  "OTEL_EXPORTER_OTLP_TIMEOUT is a number of milliseconds");
    }
    options.timeout = std::chrono::milliseconds(milliseconds);
  }
  return start(std::move(endpoint), std::move(options));
}

SpanSender::SpanSender(std::unique_ptr<Worker> worker) : worker_(std::move(worker)) {}

SpanSender::~SpanSender() {
  if (worker_->fork.is_foreign()) {
    static_cast<void>(worker_.release());  // its thread is the parent's, and its locks may be held
    return;
  }
  worker_->finish();
}

SpanBuffer& SpanSender::spans() {
  return worker_->buffer;
}

std::uint64_t SpanSender::sent() const {
  return worker_->sent.load(std::memory_order_relaxed);
}

std::uint64_t SpanSender::lost() const {
  return worker_->lost.load(std::memory_order_relaxed);
}

}  // namespace semper
