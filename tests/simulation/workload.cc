#include "workload.h"

#include <algorithm>

namespace semper::simulation {

Client::Client(Simulation& simulation, const Scenario& scenario, Workload& workload,
               std::size_t number, std::size_t index)
    : simulation_(simulation),
      scenario_(scenario),
      workload_(workload),
      number_(number),
      index_(index),
      random_(scenario.seed * 1000 + number),
      left_(scenario.count("operations")) {}

bool Client::more() {
  if (ends_soon_ || left_ == 0) return false;
  --left_;
  return true;
}

Task<void> Client::think() {
  Duration longest = scenario_.time("think");
  if (ends_soon_) longest = std::min<Duration>(longest, std::chrono::milliseconds(5));
  const auto most = static_cast<std::uint64_t>(longest.count());
  if (most == 0) co_return;
  static_cast<void>(co_await sleep_for(simulation_.clock(),
                                       Duration(static_cast<Duration::rep>(random_.below(most)))));
}

void Client::begin_operation(std::string_view operation, std::string what) {
  simulation_.surface().drawn(operation);
  what = name() + " " + std::string(operation) + " " + what;
  simulation_.note(process_->number(), EventKind::call, what);
  waits_for_ = std::move(what);
  waits_since_ = simulation_.elapsed();
}

void Client::end_operation(const Error* error) {
  simulation_.note(process_->number(), EventKind::answer,
                   name() + ": " + (error == nullptr ? "done" : error->to_string()));
  if (error != nullptr && !workload_.expects(error->kind())) {
    simulation_.finding("no fault explains the answer to " + waits_for_.value_or("?") + ": " +
                        error->to_string());
  }
  waits_for_.reset();
  ++answered_;
}

void Client::live(Process& process, std::size_t loop) {
  process_ = &process;
  home_loop_ = loop;
  is_running_ = true;
  asio::co_spawn(process.loop(loop).executor(), run(), asio::detached);
}

void Client::lost() {
  if (!is_running_) return;
  is_running_ = false;
  if (!waits_for_) return;
  simulation_.note(process_->number(), EventKind::life, name() + " goes without an answer");
  waits_for_.reset();
}

Task<void> Client::run() {
  try {
    co_await workload_.client(*this);
  } catch (const std::exception& thrown) {
    simulation_.finding(name() + " threw: " + thrown.what() + ", in " +
                        waits_for_.value_or("no operation"));
  }
  is_finished_ = true;
  is_running_ = false;
}

bool Workload::expects(ErrorKind kind) const {
  switch (kind) {
    case ErrorKind::retry:
    case ErrorKind::conflict:
    case ErrorKind::outcome_unknown:
    case ErrorKind::closed:
    case ErrorKind::cancelled:
      return true;
    default:
      return false;
  }
}

Task<void> Workload::settle(Observer&) {
  co_return;
}

}  // namespace semper::simulation
