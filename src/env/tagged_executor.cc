#include "semper/env/internal/tagged_executor.h"

#include <typeinfo>

namespace semper::internal {
namespace {

thread_local TagPointer tag_here;

// Asio's own target() does not look at the type.
const TaggedExecutor* tagged(const Executor& executor) {
  const bool is_one = executor.target_type() == typeid(TaggedExecutor);
  return is_one ? executor.target<TaggedExecutor>() : nullptr;
}

}  // namespace

Executor with_tag(const Executor& executor, TagPointer tag) {
  return TaggedExecutor(without_tag(executor), std::move(tag));
}

TagPointer tag_of(const Executor& executor) {
  const auto* const found = tagged(executor);
  return found == nullptr ? nullptr : found->tag();
}

const Executor& without_tag(const Executor& executor) {
  const auto* const found = tagged(executor);
  return found == nullptr ? executor : found->inside();
}

TagPointer tag_in_this_thread() {
  return tag_here;
}

TagScope::TagScope(TagPointer tag) : before_(std::exchange(tag_here, std::move(tag))) {}

TagScope::~TagScope() {
  tag_here = std::move(before_);
}

}  // namespace semper::internal
