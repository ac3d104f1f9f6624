// What the thread sanitizer has to be told about gRPC, whose library is not built with it: that
// what a thread did before it started an operation has happened before the callback of that
// operation.
//
// Each operation of the callback API goes through grpc_call_start_batch with a functor as its tag.
// This program's own function of that name takes the place of the library's, notes the functor, and
// lets it run behind a note that it was reached. Watches of a channel's state go through a
// completion queue, whose tags are noted likewise. Nothing else changes; without the sanitizer
// nothing is here.
#if defined(__SANITIZE_THREAD__)
#include <dlfcn.h>
#include <grpc/grpc.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <utility>

extern "C" void __tsan_acquire(void* address);
extern "C" void __tsan_release(void* address);
extern "C" const char* __tsan_default_options();
extern "C" const char* __tsan_default_suppressions();

// Nothing that gRPC's library, or another that is not built with the sanitizer, does by itself.
extern "C" const char* __tsan_default_options() {
  return "ignore_noninstrumented_modules=1";
}

// What is left of gRPC's own, by name. race_top: what we do in its callbacks is looked at, but for
// the last and the cancelling callback of a server's call: those come from a thread that gRPC
// chooses, after everything else, with nothing in between that the sanitizer could see.
extern "C" const char* __tsan_default_suppressions() {
  return "race_top:^grpc::\n"
         "race:ServerCallbackReaderWriterImpl::~ServerCallbackReaderWriterImpl\n"
         "race:^semper::rpc::StreamWriter::Call::OnDone\n"
         "race:^semper::rpc::StreamWriter::Call::OnCancel\n"
         "race:^OnCancel$\n"  // of the tests' own servers
         "race:^OnDone$\n";
}

namespace {

using Functor = grpc_completion_queue_functor;
using Run = void (*)(Functor*, int);

// The functions that functors run; gRPC's C++ library has a handful.
constexpr std::size_t kRunsMaximum = 32;
std::array<std::atomic<Run>, kRunsMaximum> known;

template <std::size_t kNumber>
void run_after_note(Functor* functor, int ok) {
  __tsan_acquire(functor);
  known[kNumber].load(std::memory_order_relaxed)(functor, ok);
}

template <std::size_t... kNumbers>
constexpr std::array<Run, kRunsMaximum> all_runs(std::index_sequence<kNumbers...>) {
  return {run_after_note<kNumbers>...};
}
constexpr auto kNoted = all_runs(std::make_index_sequence<kRunsMaximum>());

Run noted(Run run) {
  for (const Run already : kNoted) {
    if (run == already) return run;
  }
  for (std::size_t i = 0; i < kRunsMaximum; ++i) {
    Run there = nullptr;
    if (known[i].compare_exchange_strong(there, run, std::memory_order_relaxed) || there == run) {
      return kNoted[i];
    }
  }
  std::fputs("tsan_test_support: more kinds of functors than kRunsMaximum\n", stderr);
  std::abort();
}

// The library's own function, in whose place the one of that name below stands.
template <class F>
F library(F, const char* name) {
  return reinterpret_cast<F>(dlsym(RTLD_NEXT, name));  // NOLINT
}

}  // namespace

extern "C" grpc_call_error grpc_call_start_batch(grpc_call* call, const grpc_op* ops,
                                                 std::size_t count, void* tag, void* reserved) {
  static const auto start = library(&grpc_call_start_batch, "grpc_call_start_batch");
  auto* const functor = static_cast<Functor*>(tag);
  functor->functor_run = noted(functor->functor_run);
  __tsan_release(functor);
  return start(call, ops, count, tag, reserved);
}

extern "C" void grpc_channel_watch_connectivity_state(grpc_channel* channel,
                                                      grpc_connectivity_state last,
                                                      gpr_timespec deadline,
                                                      grpc_completion_queue* queue, void* tag) {
  static const auto watch =
      library(&grpc_channel_watch_connectivity_state, "grpc_channel_watch_connectivity_state");
  __tsan_release(tag);
  watch(channel, last, deadline, queue, tag);
}

extern "C" grpc_event grpc_completion_queue_next(grpc_completion_queue* queue,
                                                 gpr_timespec deadline, void* reserved) {
  static const auto next = library(&grpc_completion_queue_next, "grpc_completion_queue_next");
  const grpc_event event = next(queue, deadline, reserved);
  if (event.type == GRPC_OP_COMPLETE) __tsan_acquire(event.tag);
  return event;
}
#endif
