// The coroutine of a journal that performs.
#include <exception>
#include <utility>

#include "journal_core.h"
#include "semper/base/log.h"

namespace semper::ring::internal {

Task<void> JournalCore::run(std::shared_ptr<JournalCore> self) {
  // However it ends, also where its loop is destroyed: nobody waits for it any more.
  struct Over {
    std::shared_ptr<JournalCore> core;
    ~Over() { core->loop_over_.set({}); }
  } over{self};
  while (true) {
    const Pass pass = co_await self->wait_until_due();
    const Ended ended = co_await self->perform_all(pass);
    if (pass == Pass::last || ended == Ended::give_up) co_return;
  }
}

Task<JournalCore::Pass> JournalCore::wait_until_due() {
  while (true) {
    Event event;
    MonotonicTime due = kNever;
    {
      std::lock_guard lock(mutex_);
      if (first_pushed_) {
        const Duration interval = options_.flush_interval;
        due = interval >= kNever - *first_pushed_ ? kNever : *first_pushed_ + interval;
      }
      if (stopping_ || ended_ || urgent_ || due <= clock().now()) {
        urgent_ = false;
        first_pushed_.reset();
        co_return stopping_ ? Pass::last : Pass::usual;
      }
      event_ = event;
    }
    static_cast<void>(co_await event.wait_until(clock(), due));
  }
}

Task<JournalCore::Ended> JournalCore::perform_all(Pass pass) {
  while (status()) {
    auto items = co_await consumer_.pop_many(std::nullopt, options_.batch);
    if (!items && items.error().kind() == ErrorKind::retry) co_return Ended::nothing_left;
    if (!items) {
      end(items.error());
      break;
    }
    const Status performed = co_await perform(*items);
    if (!performed) {
      log_warning("ring", "journal " + options_.name + ": performing " +
                              std::to_string(items->size()) + " items from position " +
                              items->front().start.to_string() +
                              " on failed: " + performed.error().to_string());
      {
        std::lock_guard lock(mutex_);
        ++statistics_.failures;
      }
      if (pass == Pass::last) break;
      if (!co_await wait_for_retry()) break;
      continue;
    }
    // Whoever waits need not wait for the removal: performed it is.
    note_performed(*items);
    const Status removed = co_await consumer_.advance(items->back().after);
    if (!removed) {
      end(removed.error());
      break;
    }
    note_room();
  }
  co_return Ended::give_up;
}

Async<void> JournalCore::perform(const std::vector<Item>& items) {
  try {
    co_return co_await perform_(items);
  } catch (const std::exception& thrown) {
    co_return fail(ErrorKind::internal, std::string("perform threw: ") + thrown.what());
  } catch (...) {
    co_return fail(ErrorKind::internal, "perform threw what is no exception");
  }
}

Task<bool> JournalCore::wait_for_retry() {
  const MonotonicTime deadline = clock().after(options_.retry_interval);
  while (true) {
    Event event;
    {
      std::lock_guard lock(mutex_);
      if (stopping_ || ended_) co_return false;
      if (clock().now() >= deadline) co_return true;
      event_ = event;
    }
    static_cast<void>(co_await event.wait_until(clock(), deadline));
  }
}

}  // namespace semper::ring::internal
