#include "semper/env/one_shot.h"

#include <typeinfo>
#include <utility>
#include <vector>

#include "semper/base/assert.h"
#include "semper/env/internal/tagged_executor.h"

namespace semper::internal {
namespace {

// Ties a registry to its context's life.
class WaiterService final : public asio::execution_context::service {
 public:
  using key_type = WaiterService;
  static asio::execution_context::id id;

  explicit WaiterService(asio::execution_context& context)
      : asio::execution_context::service(context) {}

  void shutdown() override { registry->shut_down(); }

  const std::shared_ptr<WaiterRegistry> registry = std::make_shared<WaiterRegistry>();
};

asio::execution_context::id WaiterService::id;

}  // namespace

std::shared_ptr<WaiterRegistry> WaiterRegistry::of(asio::execution_context& context) {
  // Asking the context costs a lock and a search; a thread mostly stays on one context. A registry
  // that is shut down belonged to an earlier context at the same address.
  struct Last {
    ~Last() { is_gone = true; }
    const asio::execution_context* context = nullptr;
    std::shared_ptr<WaiterRegistry> registry;
    bool& is_gone;
  };
  // Static objects are destroyed after what belongs to the thread, and may still wait for
  // something.
  thread_local bool last_is_gone = false;
  if (last_is_gone) return asio::use_service<WaiterService>(context).registry;
  thread_local Last last{nullptr, nullptr, last_is_gone};
  if (last.context != &context || last.registry->is_shut_down()) {
    last.registry = asio::use_service<WaiterService>(context).registry;
    last.context = &context;
  }
  return last.registry;
}

void WaiterRegistry::link(WaiterHook& hook) {
  SEMPER_ASSERT(!shut_down_, "a coroutine waits only on a context that is there");
  hook.previous_ = nullptr;
  hook.next_ = first_;
  if (first_ != nullptr) first_->previous_ = &hook;
  first_ = &hook;
  hook.linked_ = true;
}

void WaiterRegistry::unlink(WaiterHook& hook) {
  if (!hook.linked_) return;
  (hook.previous_ != nullptr ? hook.previous_->next_ : first_) = hook.next_;
  if (hook.next_ != nullptr) hook.next_->previous_ = hook.previous_;
  hook.linked_ = false;
}

void WaiterRegistry::shut_down() {
  std::vector<std::shared_ptr<void>> given_up;  // destroyed without the lock: they may own hooks
  std::lock_guard lock(mutex_);
  shut_down_ = true;
  while (first_ != nullptr) {
    given_up.push_back(first_->surrender());
    unlink(*first_);
  }
}

// Asio's own target() does not look at the type.
template <class Target>
bool runs_in_this_thread(const Executor& executor) noexcept {
  return executor.target_type() == typeid(Target) &&
         executor.target<Target>()->running_in_this_thread();
}

bool runs_here(const Executor& any) noexcept {
  const Executor& executor = without_tag(any);
  using Untracked = asio::io_context::executor_type;
  using Tracked =
      decltype(asio::prefer(std::declval<Untracked>(), asio::execution::outstanding_work.tracked));
  return runs_in_this_thread<Tracked>(executor) || runs_in_this_thread<Untracked>(executor) ||
         runs_in_this_thread<asio::strand<Executor>>(executor);
}

}  // namespace semper::internal
