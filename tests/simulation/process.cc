#include "process.h"

#include <utility>

namespace semper::simulation {
namespace {

constexpr Duration kStartAgain = std::chrono::milliseconds(20);
// How often a host that does not end within HostOptions::stop_patience is asked again.
constexpr int kStopsMaximum = 100;

}  // namespace

Process::Process(Simulation& simulation, std::size_t number, Options options)
    : simulation_(simulation),
      number_(number),
      options_(std::move(options)),
      calendar_(simulation.clock()) {
  for (std::size_t i = 0; i <= kCallerLoops; ++i) loops_.push_back(&simulation.add_loop(number));
}

Process::~Process() {
  crash();
}

void Process::begin() {
  if (state_ != State::down) return;
  note("begins");
  state_ = State::beginning;
  is_paused_ = false;
  for (auto* loop : loops_) {
    loop->make();
    loop->set_stalled(false);
  }
  asio::co_spawn(loops_[0]->executor(), boot(), asio::detached);
}

Task<void> Process::boot() {
  const Env env{&calendar_, &simulation_.random()};
  auto backend = co_await open_backend(simulation_.store_url(), env);
  if (!backend) {
    simulation_.finding("the store does not open: " + backend.error().to_string());
    co_return;
  }
  if (wanted_lies_.lost + wanted_lies_.twice > 0) {
    liar_ = std::make_shared<LyingBackend>(std::move(*backend), env, wanted_lies_);
    *backend = liar_;
  }
  faults_ = std::make_shared<testing::FaultyBackend>(std::move(*backend), env, wanted_);
  faults_->set_network(simulation_.network().executor());
  store_ = std::make_unique<Store>(faults_, env);
  if (options_.has_host) co_await start_host();
  state_ = State::up;
  note("is up");
  for (std::size_t i = 1; i < loops_.size(); ++i) {
    if (!loops_[i]->exists()) loops_[i]->make();  // destroyed in the meantime
    options_.on_loop(*this, i);
  }
}

Task<void> Process::start_host() {
  HostOptions wanted = options_.host;
  wanted.executor = loops_[0]->executor();
  wanted.name = options_.name;
  host_ = std::make_unique<Host>(*store_, std::move(wanted));
  options_.serve(*host_, *this);
  while (true) {
    simulation_.surface().drawn("Host::start");
    auto started = co_await host_->start();
    if (started) co_return;
    note("start: " + started.error().to_string());
    static_cast<void>(co_await sleep_for(calendar_, kStartAgain));
  }
}

void Process::crash() {
  if (state_ == State::down) return;
  note("is killed");
  state_ = State::down;
  is_stopping_ = false;
  if (faults_) faults_->kill();
  for (std::size_t i = 0; i < loops_.size(); ++i) {
    if (i > 0 && loops_[i]->exists()) options_.on_loop_lost(*this, i);
    loops_[i]->destroy();
  }
  host_.reset();
  store_.reset();
  if (faults_) former_.push_back(faults_);
  faults_.reset();
  if (liar_) lies_told_ += liar_->lies_told();
  liar_.reset();
}

std::size_t Process::leaked_handles() const {
  std::size_t held = 0;
  for (const auto& handle : former_) held += handle.expired() ? 0 : 1;
  return held;
}

void Process::end_lies() {
  wanted_lies_ = {};
  if (liar_) liar_->tell_the_truth();
}

void Process::stop(std::function<void()> then) {
  if (state_ != State::up || is_stopping_) return;
  is_stopping_ = true;
  note("is stopped in order");
  asio::co_spawn(loops_[0]->executor(), stop_host(std::move(then)), asio::detached);
}

Task<void> Process::stop_host(std::function<void()> then) {
  if (host_) {
    simulation_.surface().drawn("Host::stop");
    auto stopped = co_await host_->stop();
    // This process stood still meanwhile, or its store did.
    for (int n = 0; n < kStopsMaximum && !stopped; ++n) {
      if (stopped.error().kind() != ErrorKind::timeout) break;
      note("is stopped once more");
      stopped = co_await host_->stop();
    }
    if (!stopped) simulation_.finding(name() + ": stop: " + stopped.error().to_string());
  }
  note("its host has stopped");
  // Not here: what follows may destroy this loop.
  asio::post(simulation_.own_loop().executor(), std::move(then));
}

void Process::pause() {
  if (state_ == State::down || is_paused_) return;
  note("stands still");
  is_paused_ = true;
  if (faults_) faults_->set_paused(true);
  for (auto* loop : loops_) loop->set_stalled(true);
}

void Process::resume() {
  if (!is_paused_) return;
  is_paused_ = false;
  for (auto* loop : loops_) loop->set_stalled(false);
  if (faults_) faults_->set_paused(false);
  note("goes on");
}

void Process::destroy_loop(std::size_t number) {
  if (!loops_[number]->exists()) return;
  note("loses loop " + std::to_string(number));
  options_.on_loop_lost(*this, number);
  loops_[number]->destroy();
}

void Process::make_loop(std::size_t number) {
  if (state_ != State::up || loops_[number]->exists()) return;
  loops_[number]->make();
  loops_[number]->set_stalled(is_paused_);
  options_.on_loop(*this, number);
}

void Process::set_faults(const testing::StoreFaults& faults) {
  wanted_ = faults;
  if (faults_) faults_->set_faults(faults);
}

}  // namespace semper::simulation
