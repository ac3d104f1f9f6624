#include "server/send/operation.h"

#include <memory>
#include <utility>

#include "server/send/outbox.h"
#include "server/send/sessions.h"

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

struct Enqueued {
  Enqueued(Publishers by, std::shared_ptr<const Target> target, Operation waiting)
      : publishers(std::move(by)),
        to(std::move(target)),
        operation(std::move(waiting)),
        until_the_end(operation.done) {}
  const Publishers publishers;
  const std::shared_ptr<const Target> to;
  Operation operation;
  Unanswered until_the_end;
};

Task<void> enqueue(std::shared_ptr<Enqueued> enqueued) {
  auto& [publishers, to, operation, until_the_end] = *enqueued;
  if (operation.event == Event::call) {
    operation.done.set(co_await publishers.sessions->call(to, std::move(operation.messages.front()),
                                                          operation.deadline, operation.key,
                                                          operation.chain));
    co_return;
  }
  std::shared_ptr<KeyedSend> keyed;
  if (operation.key) keyed = std::make_shared<KeyedSend>(operation.key);
  auto sent = co_await publishers.outbox->cast(to, std::move(operation.messages), keyed);
  operation.done.set(sent ? Result<Bytes>(Bytes()) : Result<Bytes>(fail(sent.error())));
}

}  // namespace

void enqueue_operations(const Publishers& publishers, const std::shared_ptr<const Target>& target,
                        std::vector<Operation> operations, const Loop& loop) {
  for (auto& operation : operations) {
    if (operation.done.is_set()) continue;
    auto enqueued = std::make_shared<Enqueued>(publishers, target, std::move(operation));
    loop.spawn([enqueued] { return enqueue(enqueued); });
  }
}

}  // namespace semper::internal
