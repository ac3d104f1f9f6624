#include "local_work.h"

#include <utility>

#include "outbox.h"
#include "records.h"
#include "sessions.h"

namespace semper::internal {

void publish_works(const std::shared_ptr<const Target>& target, std::vector<LocalWork> works,
                   const Executor& executor) {
  for (auto& work : works) {
    asio::co_spawn(
        executor,
        [](std::shared_ptr<const Target> to, LocalWork waiting) -> Task<void> {
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
        }(target, std::move(work)),
        asio::detached);
  }
}

}  // namespace semper::internal
