#include "local_work.h"

#include <memory>
#include <utility>

#include "outbox.h"
#include "records.h"
#include "sessions.h"

namespace semper::internal {

namespace {

// Nobody is left waiting.
class Unanswered {
 public:
  explicit Unanswered(OneShot<Result<Bytes>> done) : done_(std::move(done)) {}
  Unanswered(const Unanswered&) = delete;
  Unanswered& operator=(const Unanswered&) = delete;
  ~Unanswered() {
    done_.set(fail(ErrorKind::outcome_unknown,
                   "the host was stopped while it put the message into the queue"));
  }

 private:
  OneShot<Result<Bytes>> done_;
};

struct Published {
  Published(std::shared_ptr<const Target> target, LocalWork waiting)
      : to(std::move(target)), work(std::move(waiting)), until_the_end(work.done) {}
  std::shared_ptr<const Target> to;
  LocalWork work;
  Unanswered until_the_end;
};

Task<void> publish(std::shared_ptr<Published> published) {
  const auto& to = published->to;
  LocalWork& work = published->work;
  if (work.type == LocalWork::Type::call) {
    work.done.set(co_await to->sessions->call(to, std::move(work.messages.front()), work.deadline));
    co_return;
  }
  std::vector<QueuedMessage> messages;
  for (auto& message : work.messages) {
    messages.push_back({Kind::cast, std::move(message.name), std::move(message.payload), {}});
  }
  auto sent = co_await to->outbox->publish(to, std::move(messages));
  work.done.set(sent ? Result<Bytes>(Bytes()) : Result<Bytes>(fail(sent.error())));
}

}  // namespace

void publish_works(const std::shared_ptr<const Target>& target, std::vector<LocalWork> works,
                   const Loop& loop) {
  for (auto& work : works) {
    if (work.done.is_set()) continue;
    auto published = std::make_shared<Published>(target, std::move(work));
    loop.spawn([published] { return publish(published); });
  }
}

}  // namespace semper::internal
