#include "semper/env/serial.h"

#include <utility>

#include "semper/env/direct_executor.h"
#include "semper/env/internal/tagged_executor.h"

namespace semper {
namespace {

// Its presence is the promise.
class SingleThread final : public asio::execution_context::service {
 public:
  using key_type = SingleThread;
  static asio::execution_context::id id;

  explicit SingleThread(asio::execution_context& context)
      : asio::execution_context::service(context) {}

  void shutdown() override {}
};

asio::execution_context::id SingleThread::id;

}  // namespace

Executor serial_executor(const Executor& executor) {
  // Serial already; and a strand would hide that it runs handlers before post() returns.
  if (is_direct(executor)) return executor;
  auto& context = asio::query(executor, asio::execution::context_as<asio::execution_context&>);
  if (asio::has_service<SingleThread>(context)) return executor;
  Executor strand = asio::make_strand(internal::without_tag(executor));
  auto tag = internal::tag_of(executor);
  return tag ? internal::with_tag(strand, std::move(tag)) : strand;
}

void declare_single_threaded(asio::execution_context& context) {
  asio::use_service<SingleThread>(context);
}

}  // namespace semper
