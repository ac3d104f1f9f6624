// Streams with and without a state, on a durable connection that breaks: their events come in their
// order, no update is lost, repeated or overtaken, and in the end the copy is what the server has.
// Connections are used only while they are intact, and disposed of once.
#include <deque>

#include "checkers/stream_laws.h"
#include "semper/durable/durable.h"
#include "semper/durable/stream.h"
#include "workload.h"
#include "workloads.h"

namespace semper::simulation {
namespace {

using namespace std::chrono_literals;
using testing::StreamLaws;
using testing::StreamStep;
using Pipe = PipeStream<std::uint64_t>;
using States = StateStream<std::uint64_t, std::uint64_t>;

// What updates are kept for those who want to go on.
constexpr std::uint64_t kRetained = 40;

// A server's numbers, and its connections: to one client.
struct Feed {
  Simulation* simulation = nullptr;
  std::uint64_t published = 0;
  bool is_calm = false;
  std::uint64_t last_connection = 0;
  std::uint64_t built = 0;
  std::uint64_t disposed = 0;

  bool strikes(double chance) { return !is_calm && simulation->random().chance(chance); }
};

class FeedSource final : public stream::UpdateSource<std::uint64_t> {
 public:
  FeedSource(Feed& feed, std::uint64_t at) : feed_(feed), at_(at) {}

  Async<std::optional<stream::UpdateBatch<std::uint64_t>>> next() override {
    while (true) {
      if (feed_.strikes(0.03)) co_return fail(ErrorKind::io, "the connection was cut");
      if (feed_.strikes(0.01)) throw std::runtime_error("the source's own trouble");
      if (feed_.strikes(0.005)) co_return std::nullopt;
      if (at_ < feed_.published) break;
      SEMPER_CO_TRY_STATUS(co_await sleep_for(feed_.simulation->clock(), 20ms));
    }
    std::vector<std::uint64_t> updates;
    while (at_ < feed_.published && updates.size() < 5) updates.push_back(++at_);
    stream::UpdateBatch<std::uint64_t> batch(std::move(updates), std::to_string(at_));
    co_return std::optional<stream::UpdateBatch<std::uint64_t>>(std::move(batch));
  }

 private:
  Feed& feed_;
  std::uint64_t at_;
};

// A connection to the server; breaks by itself.
struct Wire {
  std::uint64_t number = 0;
  bool is_broken = false;
};

template <class Stream>
Task<typename Stream::Dispatched> dispatch(Feed& feed, stream::DispatchRequest request) {
  static_cast<void>(co_await sleep_for(feed.simulation->clock(), 2ms));
  if (feed.strikes(0.2)) co_return stream::failed_to_connect(Error(ErrorKind::io, "no answer"));
  if (feed.strikes(0.1)) co_return stream::rpc_error(Error(ErrorKind::retry, "too busy"));
  std::uint64_t from = feed.published;
  bool is_resumed = false;
  if (request.resume_after && !feed.strikes(0.1)) {
    const std::uint64_t wanted = std::stoull(*request.resume_after);
    is_resumed = wanted + kRetained >= feed.published;
    if (is_resumed) from = wanted;
  }
  typename Stream::Connection made(std::make_unique<FeedSource>(feed, from));
  made.start_token = std::to_string(from);
  made.continuity = is_resumed ? stream::Continuity::resumed : stream::Continuity::fresh;
  if constexpr (Stream::kHasState) {
    if (!is_resumed) made.state = from;
  }
  co_return made;
}

// A callback at a time, unless this goes before.
class Timer {
 public:
  Timer(Clock& clock, MonotonicTime when, std::function<void()> callback)
      : clock_(clock), id_(clock.call_at(when, std::move(callback))) {}
  ~Timer() { clock_.cancel(id_); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

 private:
  Clock& clock_;
  const Clock::TimerId id_;
};

class StreamsWorkload final : public Workload {
 public:
  StreamsWorkload(Simulation& simulation, const Scenario& scenario) : simulation_(simulation) {
    for (std::size_t i = 0; i < scenario.count("clients"); ++i) {
      feeds_.emplace_back().simulation = &simulation;
    }
  }

  void serve(Host&, Process&) override {}
  std::vector<std::string> types() const override { return {}; }
  bool expects(ErrorKind kind) const override {
    return Workload::expects(kind) || kind == ErrorKind::io || kind == ErrorKind::internal;
  }

  Task<void> client(Client& client) override {
    Feed& feed = feeds_[client.index()];
    if (client.index() % 2 == 0) {
      co_await follow<States>(client, feed);
    } else {
      co_await follow<Pipe>(client, feed);
    }
  }

  Task<void> judge(Observer&) override { co_return; }

 private:
  Durable<Wire> make_wire(Client& client, Feed& feed) {
    DurableOptions<Wire> options;
    options.env = simulation_.env();
    options.executor = client.process().loop(client.home_loop()).executor();
    options.name = "wire";
    options.dispose = [&feed](Wire&) { ++feed.disposed; };
    auto create = [&feed]() -> Async<Wire> {
      static_cast<void>(co_await sleep_for(feed.simulation->clock(), 1ms));
      if (feed.strikes(0.2)) co_return fail(ErrorKind::io, "refused");
      ++feed.built;
      Wire made;
      made.number = ++feed.last_connection;
      co_return made;
    };
    auto is_broken = [](const Wire& wire) { return wire.is_broken; };
    simulation_.surface().drawn("Durable::create");
    return Durable<Wire>::create(create, is_broken, options);
  }

  template <class Stream>
  Task<void> follow(Client& client, Feed& feed) {
    feed.built = feed.disposed = 0;
    auto wire = make_wire(client, feed);
    StreamOptions options;
    options.env = simulation_.env();
    options.resubscribe_delay = 100ms;
    auto over_wire = [&feed](Wire& on,
                             stream::DispatchRequest request) -> Task<typename Stream::Dispatched> {
      if (on.is_broken) feed.simulation->finding("a broken connection was used");
      if (feed.strikes(0.1)) on.is_broken = true;
      co_return co_await dispatch<Stream>(feed, std::move(request));
    };
    simulation_.surface().drawn("BasicStream::create");
    auto made = Stream::create(client.process().loop(client.home_loop()).executor(), wire,
                               over_wire, options);
    simulation_.surface().drawn("BasicStream::map_update");
    auto stream = std::move(made).map_update([](std::uint64_t number) { return number; });
    StreamLaws laws(Stream::kHasState ? StreamLaws::Kind::with_state
                                      : StreamLaws::Kind::without_state);
    while (client.more()) {
      if (client.random().chance(0.5)) feed.published += client.random().below(8);
      if (client.random().chance(0.2)) co_await use(client, feed, wire);
      co_await read_for(client, stream, laws, 200ms);
      co_await client.think();
    }
    feed.is_calm = true;
    ++feed.published;
    const MonotonicTime latest = simulation_.clock().after(40s);
    while (laws.at() != feed.published && simulation_.clock().now() < latest) {
      // Without a state only what comes after the connection is seen.
      if (!Stream::kHasState) ++feed.published;
      co_await read_for(client, stream, laws, 1s);
    }
    if (laws.at() != feed.published) {
      simulation_.finding(client.name() + ": the copy is at " + std::to_string(laws.at()) +
                          ", and the server at " + std::to_string(feed.published));
    }
    for (const auto& wrong : laws.wrong()) simulation_.finding(client.name() + ": " + wrong);
    simulation_.surface().drawn("BasicStream::join");
    co_await stream.join();
    simulation_.surface().drawn("Durable::join");
    co_await wire.join();
    if (feed.built != feed.disposed) {
      simulation_.finding(client.name() + ": " + std::to_string(feed.built) +
                          " connections were made, and " + std::to_string(feed.disposed) +
                          " disposed of");
    }
    feed.is_calm = false;
  }

  // What is there, and what comes within the span.
  template <class Stream>
  Task<void> read_for(Client& client, Stream& stream, StreamLaws& laws, Duration span) {
    const MonotonicTime until = simulation_.clock().after(span);
    for (int i = 0; i < 50 && simulation_.clock().now() < until; ++i) {
      auto event =
          co_await client.operate("BasicStream::next", "", next_until(client, stream, until));
      if (!event) {
        if (event.error().kind() == ErrorKind::cancelled) continue;
        simulation_.finding(client.name() + ": next: " + event.error().to_string());
        co_return;
      }
      if (*event) tell(laws, **event);
    }
  }

  // Nothing: none came in time. Now and then it is cancelled before.
  template <class Stream>
  Async<std::optional<typename Stream::Event>> next_until(Client& client, Stream& stream,
                                                          MonotonicTime until) {
    auto signal = std::make_shared<asio::cancellation_signal>();
    auto is_late = std::make_shared<bool>(false);
    const Timer timer(simulation_.clock(), until, [signal, is_late] {
      *is_late = true;
      signal->emit(asio::cancellation_type::terminal);
    });
    if (client.random().chance(client.scenario().rate("cancel"))) {
      client.process().loop(client.home_loop()).after_steps(client.random().below(8), [signal] {
        signal->emit(asio::cancellation_type::terminal);
      });
    }
    auto event = std::make_shared<std::optional<Result<typename Stream::Event>>>();
    auto whole = [](Stream& from, std::shared_ptr<std::optional<Result<typename Stream::Event>>> to,
                    std::shared_ptr<asio::cancellation_signal>) -> Task<void> {
      co_await asio::this_coro::throw_if_cancelled(false);
      to->emplace(co_await from.next());
    };
    const auto executor = co_await asio::this_coro::executor;
    co_await asio::co_spawn(executor, whole(stream, event, signal),
                            asio::bind_cancellation_slot(signal->slot(), asio::use_awaitable));
    Result<typename Stream::Event>& came = **event;
    if (came) co_return std::optional<typename Stream::Event>(std::move(*came));
    if (*is_late && came.error().kind() == ErrorKind::cancelled) co_return std::nullopt;
    co_return fail(came.error());
  }

  template <class Event>
  static void tell(StreamLaws& laws, const Event& event) {
    std::visit([&](const auto& one) { tell_one(laws, one); }, event);
  }
  static void tell_one(StreamLaws& laws, const stream::AttemptingNewConnection&) {
    laws.told(StreamStep::attempting);
  }
  static void tell_one(StreamLaws& laws, const stream::ConnectionSuccess<stream::NoMetadata>&) {
    laws.told(StreamStep::success);
  }
  static void tell_one(StreamLaws& laws, const stream::ConnectionResumed<stream::NoMetadata>&) {
    laws.told(StreamStep::resumed);
  }
  static void tell_one(StreamLaws& laws, const stream::LostConnection&) {
    laws.told(StreamStep::lost);
  }
  static void tell_one(StreamLaws& laws, const stream::FailedToConnect&) {
    laws.told(StreamStep::failed);
  }
  static void tell_one(StreamLaws& laws, const stream::RpcError&) { laws.told(StreamStep::failed); }
  static void tell_one(StreamLaws& laws, const stream::Gap&) { laws.told(StreamStep::gap); }
  static void tell_one(StreamLaws& laws, const stream::State<std::uint64_t>& state) {
    laws.told(StreamStep::state, state.state);
  }
  static void tell_one(StreamLaws& laws, const stream::UpdateBatch<std::uint64_t>& batch) {
    for (const auto number : batch.updates) laws.told(StreamStep::update, number);
  }

  // The connection is used beside the stream.
  Task<void> use(Client& client, Feed& feed, const Durable<Wire>& wire) {
    const auto kind = client.random().below(4);
    if (kind == 0) {
      simulation_.surface().drawn("Durable::check");
      static_cast<void>(wire.check());
    } else if (kind == 1) {
      simulation_.surface().drawn("Durable::invalidate");
      wire.invalidate();
    } else if (kind == 2) {
      simulation_.surface().drawn("Durable::reset");
      wire.reset();
    } else {
      auto f = [&feed](Wire& on) -> Async<void> {
        if (on.is_broken) feed.simulation->finding("a broken connection was used");
        static_cast<void>(co_await sleep_for(feed.simulation->clock(), 5ms));
        co_return Status{};
      };
      static_cast<void>(co_await client.operate("Durable::with", "", wire.with(f)));
    }
  }

  Simulation& simulation_;
  std::deque<Feed> feeds_;
};

}  // namespace

std::unique_ptr<Workload> make_streams(Simulation& simulation, const Scenario& scenario) {
  return make_workload<StreamsWorkload>(simulation, scenario);
}

}  // namespace semper::simulation
