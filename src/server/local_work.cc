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

}  // namespace

void publish_works(const std::shared_ptr<const Target>& target, std::vector<LocalWork> works,
                   const Executor& executor) {
  for (auto& work : works) {
    auto unanswered = std::make_unique<Unanswered>(work.done);
    asio::co_spawn(
        executor,
        [](std::shared_ptr<const Target> to, LocalWork waiting,
           [[maybe_unused]] std::unique_ptr<Unanswered> until_the_end) -> Task<void> {
          auto done = waiting.done;
          if (waiting.type == LocalWork::Type::call) {
            done.set(co_await to->sessions->call(to, std::move(waiting.messages.front()),
                                                 waiting.deadline));
            co_return;
          }
          std::vector<QueuedMessage> messages;
          for (auto& message : waiting.messages) {
            messages.push_back(
                {Kind::cast, std::move(message.name), std::move(message.payload), {}});
          }
          auto sent = co_await to->outbox->publish(to, std::move(messages));
          done.set(sent ? Result<Bytes>(Bytes()) : Result<Bytes>(fail(sent.error())));
        }(target, std::move(work), std::move(unanswered)),
        asio::detached);
  }
}

}  // namespace semper::internal
