#include "testing/harness/process.h"

#include <stdexcept>
#include <utility>

#include "semper/memory/memory.h"
#include "testing/harness/backend.h"

namespace semper::testing::internal {
namespace {

constexpr Duration kStartAgain = std::chrono::milliseconds(20);

}  // namespace

HarnessProcess::HarnessProcess(Options options, HarnessPoints& points)
    : options_(std::move(options)), points_(points) {}

HarnessProcess::~HarnessProcess() {
  crash();
}

void HarnessProcess::begin() {
  loop_ = std::make_unique<asio::io_context>(1);
  asio::co_spawn(*loop_, boot(), [](std::exception_ptr thrown) {
    if (thrown) std::rethrow_exception(thrown);
  });
}

Task<void> HarnessProcess::boot() {
  auto url = StoreUrl::parse(options_.store_url);
  auto backend = co_await open_memory(*url, options_.env);
  if (!backend) throw std::runtime_error("harness: " + backend.error().to_string());
  auto applied = std::make_shared<AppliedBackend>(std::move(*backend), points_, options_.number);
  auto faulty = std::make_shared<FaultyBackend>(std::move(applied), options_.env);
  faulty_ = faulty;
  auto point = std::make_shared<PointBackend>(std::move(faulty), points_, options_.number);
  store_ = std::make_unique<Store>(std::move(point), options_.env);
  if (options_.has_host) {
    HostOptions wanted = options_.host;
    wanted.executor = loop_->get_executor();
    wanted.name = options_.name;
    host_ = std::make_unique<Host>(*store_, std::move(wanted));
    options_.serve(*host_);
    while (true) {
      auto started = co_await host_->start();
      if (started) break;
      static_cast<void>(co_await sleep_for(*options_.env.clock, kStartAgain));
    }
  }
  is_up_ = true;
}

void HarnessProcess::crash() {
  is_up_ = false;
  if (const auto faulty = faulty_.lock()) faulty->kill();
  loop_.reset();
  host_.reset();
  store_.reset();
}

bool HarnessProcess::run_one() {
  if (!loop_) return false;
  loop_->restart();
  return loop_->poll_one() > 0;
}

}  // namespace semper::testing::internal
