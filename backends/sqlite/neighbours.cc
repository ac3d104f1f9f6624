#include "neighbours.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "semper/base/internal/mutant.h"
#include "start_thread.h"
#include "written_keys.h"

namespace semper::sqlite {
namespace {

constexpr std::uint64_t kWake = 1;
constexpr std::uint64_t kConnections = 2;
constexpr std::uint64_t kFirstNumber = 16;
constexpr std::size_t kReadBytes = 64u << 10;
constexpr int kEventsAtOnce = 64;
// Where no descriptor was left for a connection.
constexpr Duration kTakingPause = std::chrono::milliseconds(100);

// 0 stands for none.
std::uint64_t hash_of(std::string_view topic) {
  const std::uint64_t hash = hash_key(topic);
  return hash == 0 ? 1 : hash;
}

Error closed_store() {
  return Error(ErrorKind::closed, "the store was closed");
}

// What the user of one end holds.
class SocketLinkEnd final : public NeighbourLink {
 public:
  SocketLinkEnd(std::weak_ptr<SocketNeighbours> all, std::shared_ptr<SocketLink> link)
      : all_(std::move(all)), link_(std::move(link)) {}
  ~SocketLinkEnd() override {
    // Never destroyed in a child: a thread that it does not have may be inside.
    if (fork_.is_foreign()) {
      static_cast<void>(new std::shared_ptr<SocketLink>(std::move(link_)));
    } else {
      SocketLinkEnd::close();
    }
  }

  Status send(Bytes message) override {
    SEMPER_TRY_STATUS(fork_.check("this link"));
    return link_->send(std::move(message));
  }
  void close() override {
    if (fork_.is_foreign()) return;
    if (const auto all = all_.lock()) {
      all->end_link(*link_, Error(ErrorKind::closed, "this end of the link was closed"),
                    SocketNeighbours::Rest::is_dropped);
    }
  }

 private:
  const std::weak_ptr<SocketNeighbours> all_;
  std::shared_ptr<SocketLink> link_;
  const ForkGuard fork_{};
};

}  // namespace

class SocketNeighbours::SocketListening final : public Neighbours::Listening {
 public:
  SocketListening(std::shared_ptr<SocketNeighbours> all, std::uint64_t number)
      : all_(std::move(all)), number_(number) {}
  ~SocketListening() override {
    if (fork_.is_foreign()) {
      static_cast<void>(new std::shared_ptr<SocketNeighbours>(std::move(all_)));
    } else {
      all_->stop_listening(number_);
    }
  }

 private:
  std::shared_ptr<SocketNeighbours> all_;
  const std::uint64_t number_;
  const ForkGuard fork_{};
};

Status SocketNeighbours::start() {
  if (thread_.joinable()) return {};
  SEMPER_TRY(auto epoll, make_epoll());
  SEMPER_TRY(auto event, make_event());
  struct epoll_event wanted {};
  wanted.events = EPOLLIN;
  wanted.data.u64 = kWake;
  if (::epoll_ctl(epoll.number(), EPOLL_CTL_ADD, event.number(), &wanted) != 0) {
    return fail(error_from_errno(errno, "cannot wait for other processes of the store"));
  }
  epoll_ = std::move(epoll);
  event_ = std::move(event);
  last_ = std::max(last_, kFirstNumber);
  return start_thread(thread_, "semper-link", [self = shared_from_this()] { self->run(); });
}

Status SocketNeighbours::start_listening() {
  SEMPER_TRY_STATUS(start());
  if (listening_.is_open()) return {};
  SocketName name{};
  SEMPER_TRY_STATUS(fill_with_secrets(name, secret_));
  SEMPER_TRY(listening_, listen_as(name));
  struct epoll_event wanted {};
  wanted.events = EPOLLIN;
  wanted.data.u64 = kConnections;
  // From here on the thread may look at it.
  if (::epoll_ctl(epoll_.number(), EPOLL_CTL_ADD, listening_.number(), &wanted) != 0) {
    const int number = errno;
    listening_.close();
    return fail(error_from_errno(number, "cannot wait for other processes of the store"));
  }
  auto& entry = sidecar_.mine();
  entry.listening_user.store(::geteuid());
  for (std::size_t i = 0; i < name.size(); ++i) entry.socket_name[i].store(name[i]);
  for (std::size_t i = 0; i < secret_.size(); ++i) entry.socket_secret[i].store(secret_[i]);
  return {};
}

Result<std::unique_ptr<Neighbours::Listening>> SocketNeighbours::listen(std::string topic,
                                                                        Neighbours::Accept accept) {
  SEMPER_TRY_STATUS(semper::internal::check_neighbour_topic(topic));
  std::lock_guard lock(mutex_);
  if (has_stopped_) return fail(closed_store());
  auto& topics = sidecar_.mine().topics;
  const auto slot =
      std::find_if(topics.begin(), topics.end(), [](const auto& each) { return each.load() == 0; });
  if (slot == topics.end()) {
    return fail(Error(ErrorKind::exhausted, Limit{"kNeighbourTopics", kNeighbourTopics},
                      "this store listens to " + std::to_string(kNeighbourTopics) +
                          " topics already: end one of them first"));
  }
  SEMPER_TRY_STATUS(start_listening());
  Listener made;
  made.slot = static_cast<std::size_t>(slot - topics.begin());
  made.topic = std::move(topic);
  made.accept = std::make_shared<semper::internal::NeighbourAccept>(std::move(accept));
  auto& used = sidecar_.mine().topics_used;
  used.store(std::max(used.load(), static_cast<std::uint32_t>(made.slot + 1)));
  // Last: who finds the topic finds the socket.
  slot->store(hash_of(made.topic));
  const auto number = ++last_;
  listeners_.emplace(number, std::move(made));
  return std::make_unique<SocketListening>(shared_from_this(), number);
}

void SocketNeighbours::stop_listening(std::uint64_t number) {
  std::shared_ptr<semper::internal::NeighbourAccept> ended;
  {
    std::lock_guard lock(mutex_);
    const auto found = listeners_.find(number);
    if (found == listeners_.end()) return;  // with the store
    sidecar_.mine().topics[found->second.slot].store(0);
    ended = std::move(found->second.accept);
    listeners_.erase(found);
  }
  ended->end();
}

bool SocketNeighbours::has_listener(std::string_view topic) const {
  if (has_stopped_) return false;
  const auto wanted = hash_of(topic);
  bool is_there = false;
  sidecar_.for_each_other([&](const SidecarEntry& entry) {
    const std::size_t used = std::min<std::size_t>(entry.topics_used.load(), kNeighbourTopics);
    for (std::size_t i = 0; i < used; ++i) is_there |= entry.topics[i].load() == wanted;
  });
  return is_there;
}

std::vector<SocketNeighbours::Candidate> SocketNeighbours::find(std::string_view topic) const {
  const auto wanted = hash_of(topic);
  std::vector<Candidate> found;
  auto& entries = sidecar_.shared().entries;
  sidecar_.for_each_other([&](const SidecarEntry& entry) {
    const std::size_t used = std::min<std::size_t>(entry.topics_used.load(), kNeighbourTopics);
    const auto end = entry.topics.begin() + static_cast<std::ptrdiff_t>(used);
    const auto has_it = [&](const auto& each) { return each.load() == wanted; };
    if (std::none_of(entry.topics.begin(), end, has_it)) return;
    Candidate candidate;
    candidate.entry = static_cast<std::size_t>(&entry - entries.data());
    candidate.user = entry.listening_user.load();
    for (std::size_t i = 0; i < candidate.name.size(); ++i) {
      candidate.name[i] = entry.socket_name[i].load();
    }
    for (std::size_t i = 0; i < candidate.secret.size(); ++i) {
      candidate.secret[i] = entry.socket_secret[i].load();
    }
    found.push_back(candidate);
  });
  return found;
}

Status SocketNeighbours::check_room() const {
  if (has_stopped_) return fail(closed_store());
  if (links_.size() < kNeighbourLinks) return {};
  return fail(Error(ErrorKind::exhausted, Limit{"kNeighbourLinks", kNeighbourLinks},
                    "this store has " + std::to_string(kNeighbourLinks) +
                        " links to other processes already: close one of them first"));
}

Result<std::shared_ptr<NeighbourLink>> SocketNeighbours::connect(
    std::string topic, std::shared_ptr<NeighbourReceiver> receiver) {
  SEMPER_TRY_STATUS(semper::internal::check_neighbour_topic(topic));
  std::vector<Candidate> candidates;
  {
    std::lock_guard lock(mutex_);
    SEMPER_TRY_STATUS(check_room());
    sidecar_.mine().user.store(::geteuid());
    candidates = find(topic);
  }
  if (candidates.empty()) {
    return fail(ErrorKind::not_found, "no other process of this store listens to this topic");
  }
  const auto first = env_.random->below(candidates.size());
  std::optional<Error> last;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const auto& candidate = candidates[(first + i) % candidates.size()];
    auto made = try_candidate(candidate, topic, receiver);
    if (made || made.error().kind() == ErrorKind::exhausted ||
        made.error().kind() == ErrorKind::closed) {
      return made;
    }
    // What is worth another attempt is said rather than what is not.
    if (!last || made.error().kind() == ErrorKind::retry) last = made.error();
  }
  return fail(*last);
}

Result<std::shared_ptr<NeighbourLink>> SocketNeighbours::try_candidate(
    const Candidate& candidate, const std::string& topic,
    const std::shared_ptr<NeighbourReceiver>& receiver) {
  auto socket = connect_to(candidate.name);
  if (!socket) {
    std::lock_guard lock(mutex_);
    if (socket.error().kind() == ErrorKind::not_found && !has_stopped_) {
      sidecar_.reap_dead_entries();
    }
    return fail(socket.error());
  }
  // Its name may be a stranger's by now: the secret is not for everybody.
  const auto peer = socket->peer();
  const bool is_known = peer && (*peer == candidate.user || *peer == 0);
  if (!is_known && !SEMPER_MUTANT("sqlite_link_to_anybody")) {
    return fail(ErrorKind::not_found,
                "the process that listens to this topic runs as another user than it says");
  }
  std::shared_ptr<SocketLink> link;
  {
    std::lock_guard lock(mutex_);
    SEMPER_TRY_STATUS(check_room());
    SEMPER_TRY_STATUS(start());
    Hello hello;
    hello.entry = static_cast<std::uint32_t>(sidecar_.my_entry());
    hello.secret = candidate.secret;
    hello.topic = topic;
    link = std::make_shared<SocketLink>(std::move(*socket), ++last_);
    if (!link->say(hello)) {
      return fail(ErrorKind::retry, "the process that listens to this topic refuses the link");
    }
    link->inbox().attach(receiver);
    links_[link->number()] = link;
    if (const auto watched = link->watch(epoll_.number()); !watched) {
      link->inbox().drop();
      links_.erase(link->number());
      return fail(watched.error());
    }
  }
  return std::make_shared<SocketLinkEnd>(weak_from_this(), std::move(link));
}

void SocketNeighbours::end_link(SocketLink& link, Error why, Rest rest) {
  std::shared_ptr<SocketLink> ended;
  {
    std::lock_guard lock(mutex_);
    const auto found = links_.find(link.number());
    if (found == links_.end()) return;
    ended = std::move(found->second);
    links_.erase(found);
  }
  ended->close();
  if (rest == Rest::is_dropped) {
    ended->inbox().end_now(std::move(why));
  } else {
    ended->inbox().end(std::move(why));
  }
  ended->inbox().deliver();
}

void SocketNeighbours::stop() {
  std::map<std::uint64_t, Listener> listeners;
  std::map<std::uint64_t, std::shared_ptr<SocketLink>> links;
  {
    std::lock_guard lock(mutex_);
    if (has_stopped_) return;
    has_stopped_ = true;
    for (const auto& [number, listener] : listeners_) {
      sidecar_.mine().topics[listener.slot].store(0);
    }
    listeners.swap(listeners_);
    links.swap(links_);
    if (!thread_.joinable()) return;
  }
  wake();
  for (const auto& [number, listener] : listeners) listener.accept->end();
  for (const auto& [number, link] : links) {
    link->close();
    link->inbox().end_now(closed_store());
    link->inbox().deliver();
  }
  for (const auto& [number, link] : links) link->inbox().wait_until_quiet();
  // By a receiver that has held the last handle of the store: the thread ends by itself.
  if (thread_.get_id() == std::this_thread::get_id()) {
    thread_.detach();
  } else {
    thread_.join();
  }
}

void SocketNeighbours::wake() const {
  const std::uint64_t one = 1;
  static_cast<void>(::write(event_.number(), &one, sizeof one));
}

void SocketNeighbours::run() {
  std::vector<char> buffer(kReadBytes);
  std::array<struct epoll_event, kEventsAtOnce> events{};
  while (!has_stopped_) {
    const int count = ::epoll_wait(epoll_.number(), events.data(), kEventsAtOnce, -1);
    for (int i = 0; i < count && !has_stopped_; ++i) {
      const auto& event = events[static_cast<std::size_t>(i)];
      if (event.data.u64 == kWake) {
        std::uint64_t woken = 0;
        static_cast<void>(::read(event_.number(), &woken, sizeof woken));
        close_overdue();
      } else if (event.data.u64 == kConnections) {
        take_connections();
      } else if (unfinished_.contains(event.data.u64)) {
        hear(event.data.u64);
      } else {
        serve(event.data.u64, event.events, buffer);
      }
    }
  }
  unfinished_.clear();
  std::lock_guard lock(mutex_);
  listening_.close();
}

void SocketNeighbours::serve(std::uint64_t number, std::uint32_t events,
                             std::vector<char>& buffer) {
  std::shared_ptr<SocketLink> link;
  {
    std::lock_guard lock(mutex_);
    const auto found = links_.find(number);
    if (found == links_.end()) return;
    link = found->second;
  }
  if ((events & EPOLLOUT) != 0) link->write_on();
  if ((events & ~static_cast<std::uint32_t>(EPOLLOUT)) == 0) return;
  if (const auto read = link->read(buffer); !read) {
    end_link(*link, read.error(), Rest::is_delivered);
  }
}

void SocketNeighbours::take_connections() {
  for (int i = 0; i < kEventsAtOnce && !has_stopped_; ++i) {
    auto taken = accept_from(listening_);
    if (!taken) return pause_taking();
    if (!taken->is_open()) return;
    const auto user = taken->peer();
    // Others do not even take up room.
    if (!user || !is_user_of_the_store(*user)) continue;
    if (unfinished_.size() >= kUnfinishedLinks && !SEMPER_MUTANT("sqlite_links_unfinished")) {
      unfinished_.erase(unfinished_.begin());
    }
    std::uint64_t number = 0;
    {
      std::lock_guard lock(mutex_);
      number = ++last_;
    }
    struct epoll_event wanted {};
    wanted.events = EPOLLIN;
    wanted.data.u64 = number;
    if (::epoll_ctl(epoll_.number(), EPOLL_CTL_ADD, taken->number(), &wanted) != 0) continue;
    Unfinished made;
    made.socket = std::move(*taken);
    made.deadline = env_.clock->after(kHelloPatience);
    made.timer = env_.clock->call_at(made.deadline, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->wake();
    });
    unfinished_.emplace(number, std::move(made));
    hear(number);
  }
}

// Where it would be told of the same connection for ever.
void SocketNeighbours::pause_taking() {
  struct epoll_event none {};
  none.data.u64 = kConnections;
  ::epoll_ctl(epoll_.number(), EPOLL_CTL_MOD, listening_.number(), &none);
  is_taking_ = false;
  env_.clock->call_at(env_.clock->after(kTakingPause), [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->wake();
  });
}

void SocketNeighbours::close_overdue() {
  const auto now = env_.clock->now();
  std::erase_if(unfinished_, [&](const auto& each) { return each.second.deadline <= now; });
  if (is_taking_) return;
  is_taking_ = true;
  struct epoll_event wanted {};
  wanted.events = EPOLLIN;
  wanted.data.u64 = kConnections;
  ::epoll_ctl(epoll_.number(), EPOLL_CTL_MOD, listening_.number(), &wanted);
}

void SocketNeighbours::hear(std::uint64_t number) {
  auto& connection = unfinished_.at(number);
  while (true) {
    std::optional<std::size_t> wanted = kHelloHeadBytes;
    if (connection.said.size() >= kHelloHeadBytes) wanted = hello_bytes(connection.said);
    if (!wanted) break;
    if (*wanted == connection.said.size()) {
      auto socket = std::move(connection.socket);
      auto hello = decode_hello(connection.said);
      env_.clock->cancel(connection.timer);
      unfinished_.erase(number);
      return finish(std::move(socket), std::move(hello));
    }
    // No more than the hello: what follows is the link's.
    std::array<char, kHelloHeadBytes + kNeighbourTopicBytes> buffer{};
    const auto got = ::recv(connection.socket.number(), buffer.data(),
                            *wanted - connection.said.size(), MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) break;
    connection.said.append(buffer.data(), static_cast<std::size_t>(got));
  }
  unfinished_.erase(number);
}

bool SocketNeighbours::is_user_of_the_store(uid_t user) const {
  if (user == 0) return true;
  std::lock_guard lock(mutex_);
  bool is_one = false;
  if (has_stopped_) return false;
  sidecar_.for_each([&](const SidecarEntry& entry) { is_one |= entry.user.load() == user; });
  return is_one;
}

bool SocketNeighbours::may_link(const Hello& hello, uid_t user) const {
  if (!are_equal(hello.secret, secret_) && !SEMPER_MUTANT("sqlite_link_without_secret")) {
    return false;
  }
  if (hello.entry >= kHandlesMaximum) return false;
  const auto& entry = sidecar_.shared().entries[hello.entry];
  return user == 0 || (entry.in_use.load() != 0 && entry.user.load() == user);
}

void SocketNeighbours::finish(Socket socket, Hello hello) {
  const auto user = socket.peer();
  ::epoll_ctl(epoll_.number(), EPOLL_CTL_DEL, socket.number(), nullptr);
  std::shared_ptr<semper::internal::NeighbourAccept> accept;
  std::shared_ptr<SocketLink> link;
  {
    std::lock_guard lock(mutex_);
    if (has_stopped_ || !user || !may_link(hello, *user)) return;
    if (links_.size() >= kNeighbourLinks) return;
    for (const auto& [number, listener] : listeners_) {
      if (listener.topic == hello.topic) accept = listener.accept;
    }
    if (!accept) return;
    link = std::make_shared<SocketLink>(std::move(socket), ++last_);
    links_[link->number()] = link;
  }
  auto end = std::make_shared<SocketLinkEnd>(weak_from_this(), link);
  if (!accept->call(std::move(end), link->inbox())) {
    link->inbox().drop();
    return end_link(*link, closed_store(), Rest::is_dropped);
  }
  if (const auto watched = link->watch(epoll_.number()); !watched) {
    return end_link(*link, watched.error(), Rest::is_dropped);
  }
  link->inbox().deliver();  // that it has ended meanwhile
}

}  // namespace semper::sqlite
