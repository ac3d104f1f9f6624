#include "parent_descriptor.h"

#include <pthread.h>

#include <mutex>
#include <set>
#include <utility>

namespace semper::internal {
namespace {

// Held over a fork, so that the child finds the set whole. Never destroyed: exit handlers may fork.
struct Registry {
  std::mutex mutex;
  std::set<ParentDescriptor*> open;
};

Registry& registry() {
  static auto* const the_one = new Registry();
  return *the_one;
}

// When the program is loaded: a thread may open the first one while another one forks.
[[gnu::constructor(102)]] void prepare_for_forks() {
  static_cast<void>(pthread_atfork([] { registry().mutex.lock(); },
                                   [] { registry().mutex.unlock(); },
                                   [] { ParentDescriptor::close_all_in_child(); }));
}

}  // namespace

ParentDescriptor::ParentDescriptor(FileDescriptor descriptor) : descriptor_(std::move(descriptor)) {
  std::lock_guard lock(registry().mutex);
  registry().open.insert(this);
}

ParentDescriptor::~ParentDescriptor() {
  std::lock_guard lock(registry().mutex);
  registry().open.erase(this);
}

int ParentDescriptor::release() {
  std::lock_guard lock(registry().mutex);
  registry().open.erase(this);
  return descriptor_.release();
}

void ParentDescriptor::close_all_in_child() {
  for (ParentDescriptor* const one : registry().open) one->descriptor_ = FileDescriptor();
  registry().open.clear();
  registry().mutex.unlock();
}

}  // namespace semper::internal
