#include "client.h"

#include <poll.h>

#include <algorithm>
#include <limits>
#include <thread>

#include "support/load.h"

namespace semper::bench::peers {

using namespace std::chrono_literals;

std::int64_t wait_for_go(const Job& job) {
  job.board->ready.fetch_add(1);
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (job.board->go_ns.load() == 0) {
    if (std::chrono::steady_clock::now() > deadline) give_up("the other processes are not ready");
    std::this_thread::sleep_for(100us);
  }
  return job.board->go_ns.load();
}

Pace::Pace(const Job& job, std::int64_t go_ns)
    : go_ns_(go_ns),
      end_ns_(go_ns + static_cast<std::int64_t>(job.shape.seconds * 1e9)),
      rate_(job.shape.rate),
      entities_(job.shape.entities),
      random_(static_cast<std::uint64_t>(job.number) + 1) {}

std::optional<std::int64_t> Pace::next(std::int64_t now) {
  const std::int64_t when =
      paced() ? go_ns_ + static_cast<std::int64_t>(static_cast<double>(count_) * 1e9 / rate_) : now;
  if (when >= end_ns_) return std::nullopt;
  ++count_;
  return when;
}

std::string Pace::entity() {
  return entity_name(static_cast<std::size_t>(random_.below(entities_)));
}

void publish_all(Publisher& publisher, const Job& job) {
  Pace pace(job, wait_for_go(job));
  int in_flight = 0;
  auto next = pace.next(now_ns());
  const Settled settled = [&](std::int64_t since_ns) {
    --in_flight;
    job.slot->add(since_ns);
  };
  while (next || in_flight > 0) {
    while (next && in_flight < job.shape.in_flight) {
      const std::int64_t now = now_ns();
      if (pace.paced() && *next > now) break;
      const std::int64_t since = pace.paced() ? *next : now;
      publisher.send(since, pace.entity(), payload_of(since));
      ++in_flight;
      next = pace.next(now);
    }
    std::chrono::nanoseconds patience = kPatience;
    if (next && pace.paced() && in_flight < job.shape.in_flight) {
      patience = std::chrono::nanoseconds(std::max<std::int64_t>(0, *next - now_ns()));
    }
    if (in_flight == 0) {
      std::this_thread::sleep_for(patience);
    } else {
      publisher.settle(patience, settled);
    }
  }
}

void consume_all(Consumer& consumer, const Job& job) {
  const Settled settled = [&](std::int64_t since_ns) { job.slot->add(since_ns); };
  wait_for_go(job);
  while (job.board->stop.load() == 0) {
    if (consumer.take(settled) == 0) std::this_thread::sleep_for(kLookAgain);
  }
}

bool wait_readable(int descriptor, std::chrono::nanoseconds patience) {
  pollfd one{descriptor, POLLIN, 0};
  const timespec limit{static_cast<time_t>(patience / 1s),
                       static_cast<long>((patience % 1s).count())};
  return ppoll(&one, 1, &limit, nullptr) > 0;
}

}  // namespace semper::bench::peers
