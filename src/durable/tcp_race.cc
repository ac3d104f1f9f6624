#include "durable/tcp_race.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <system_error>
#include <utility>
#include <variant>

#include "semper/base/internal/mutant.h"
#include "semper/durable/system_errors.h"
#include "semper/env/clock.h"
#include "semper/env/one_shot.h"

namespace semper::internal {
namespace {

using asio::ip::tcp;

// Programs that are executed meanwhile do not inherit it, as Asio's own would be: the other side
// would not hear of the end.
Result<tcp::socket> open_socket(const Executor& executor, const tcp& protocol,
                                const std::string& what) {
  std::error_code code;
  std::optional<tcp::socket> socket;
  try {
    socket.emplace(executor);  // the first one on a loop opens descriptors
  } catch (const std::system_error& thrown) {
    code = thrown.code();
  }
  if (code) return fail(error_from_system(code, what));
  const int descriptor =
      ::socket(protocol.family(), protocol.type() | SOCK_CLOEXEC, protocol.protocol());
  if (descriptor < 0) return fail(error_from_errno(errno, what));
  socket->assign(protocol, descriptor, code);
  if (code) {
    ::close(descriptor);
    return fail(error_from_system(code, what));
  }
  return std::move(*socket);
}

// The attempts that run, shared with Asio's handlers, which may come on several threads.
class ConnectRace : public std::enable_shared_from_this<ConnectRace> {
 public:
  void start(const Executor& executor, const tcp::endpoint& address, const std::string& what) {
    auto opened = open_socket(executor, address.protocol(), what);
    std::lock_guard lock(mutex_);
    if (!opened) {
      failure_.emplace(opened.error());
      return;
    }
    const auto place = running_.insert(running_.end(), std::move(*opened));
    place->async_connect(address, [self = shared_from_this(), place, what](std::error_code code) {
      self->end(place, code, what);
    });
  }

  // The winner, or the last failure where nothing runs any more. Nothing: `news` will be set.
  std::optional<Result<tcp::socket>> outcome(const OneShot<std::monostate>& news) {
    std::lock_guard lock(mutex_);
    std::optional<Result<tcp::socket>> known;
    if (winner_) {
      known.emplace(std::move(*winner_));
      winner_.reset();
    } else if (running_.empty()) {
      known.emplace(fail(*failure_));
    }
    news_ = news;
    return known;
  }

  // Nobody waits any more: what runs ends.
  void close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    winner_.reset();
    std::error_code ignored;
    for (auto& socket : running_) socket.close(ignored);
  }

 private:
  using Running = std::list<tcp::socket>;

  void end(Running::iterator place, std::error_code code, const std::string& what) {
    OneShot<std::monostate> news;
    {
      std::lock_guard lock(mutex_);
      if (code) failure_.emplace(error_from_system(code, what));
      if (!code && !closed_ && !winner_) winner_.emplace(std::move(*place));
      running_.erase(place);
      news = news_;
    }
    news.set({});
  }

  std::mutex mutex_;
  Running running_;
  std::optional<tcp::socket> winner_;
  std::optional<Error> failure_;
  OneShot<std::monostate> news_;
  bool closed_ = false;
};

class EndOfRace {
 public:
  explicit EndOfRace(ConnectRace& race) : race_(race) {}
  EndOfRace(const EndOfRace&) = delete;
  EndOfRace& operator=(const EndOfRace&) = delete;
  ~EndOfRace() { race_.close(); }

 private:
  ConnectRace& race_;
};

}  // namespace

Async<tcp::socket> connect_to_first(std::vector<tcp::endpoint> addresses, std::string what) {
  const Executor executor = co_await asio::this_coro::executor;
  const auto race = std::make_shared<ConnectRace>();
  const EndOfRace end(*race);
  std::size_t next = 0;
  while (true) {
    if (next < addresses.size()) {
      const auto& address = addresses[next++];
      const bool is_only = addresses.size() == 1;
      race->start(executor, address,
                  is_only ? what : what + " to " + address.address().to_string());
    }
    OneShot<std::monostate> news;
    auto known = race->outcome(news);
    const bool goes_on = next < addresses.size();
    if (known && (*known || !goes_on)) co_return std::move(*known);
    if (known) continue;
    const bool waits_for_more = !goes_on || SEMPER_MUTANT("durable_addresses_one_after_another");
    const auto until = waits_for_more ? kNever : system_clock().after(kNextAddressAfter);
    auto woken = co_await news.wait_until(system_clock(), until);
    if (woken || woken.error().kind() == ErrorKind::timeout) continue;
    co_return fail(woken.error().kind(), what + ": " + woken.error().message());
  }
}

}  // namespace semper::internal
