// Tagged executors: whatever runs on one, and what that starts on its own executor, can be asked on
// whose account it runs.
//
// What for: the calls of a callback, which carry the chain of calls that they are part of
// (server/ref.h); code that blocks a thread on behalf of a coroutine passes the tag on. When not:
// outside this library.
//
//   asio::co_spawn(with_tag(executor, frame), callback(), asio::detached);
//   const auto frame = tag_of(co_await asio::this_coro::executor);     // in it; null elsewhere
//
// A tag changes nothing else: context, order and thread are those of the executor inside. Threads:
// any.
#pragma once

#include <memory>
#include <utility>

#include "semper/env/asio.h"

namespace semper::internal {

class ExecutorTag {
 public:
  virtual ~ExecutorTag() = default;
};
using TagPointer = std::shared_ptr<const ExecutorTag>;

Executor with_tag(const Executor& executor, TagPointer tag);
// Null: it has none.
TagPointer tag_of(const Executor& executor);
// The executor inside, or the executor itself; a part of what was given.
const Executor& without_tag(const Executor& executor);
// Of what this thread runs at this moment; null: nothing that has one.
TagPointer tag_in_this_thread();

// Sets what tag_in_this_thread() says, for as long as it lives.
class TagScope {
 public:
  explicit TagScope(TagPointer tag);
  TagScope(const TagScope&) = delete;
  TagScope& operator=(const TagScope&) = delete;
  ~TagScope();

 private:
  TagPointer before_;
};

class TaggedExecutor {
 public:
  TaggedExecutor(Executor inside, TagPointer tag)
      : inside_(std::move(inside)), tag_(std::move(tag)) {}

  const Executor& inside() const { return inside_; }
  const TagPointer& tag() const { return tag_; }

  // Required by Asio of an executor.
  template <class Function>
  void execute(Function function) const {
    inside_.execute([tag = tag_, function = std::move(function)]() mutable {
      const TagScope scope(std::move(tag));
      std::move(function)();
    });
  }
  asio::execution_context& query(asio::execution::context_t) const noexcept {
    return asio::query(inside_, asio::execution::context_as<asio::execution_context&>);
  }
  TaggedExecutor require(asio::execution::blocking_t::never_t property) const {
    return {asio::require(inside_, property), tag_};
  }
  TaggedExecutor prefer(asio::execution::blocking_t::possibly_t property) const {
    return {asio::prefer(inside_, property), tag_};
  }
  TaggedExecutor prefer(asio::execution::outstanding_work_t::tracked_t property) const {
    return {asio::prefer(inside_, property), tag_};
  }
  TaggedExecutor prefer(asio::execution::outstanding_work_t::untracked_t property) const {
    return {asio::prefer(inside_, property), tag_};
  }
  TaggedExecutor prefer(asio::execution::relationship_t::fork_t property) const {
    return {asio::prefer(inside_, property), tag_};
  }
  TaggedExecutor prefer(asio::execution::relationship_t::continuation_t property) const {
    return {asio::prefer(inside_, property), tag_};
  }
  friend bool operator==(const TaggedExecutor& one, const TaggedExecutor& other) noexcept {
    return one.inside_ == other.inside_ && one.tag_ == other.tag_;
  }
  friend bool operator!=(const TaggedExecutor& one, const TaggedExecutor& other) noexcept {
    return !(one == other);
  }

 private:
  Executor inside_;
  TagPointer tag_;
};

}  // namespace semper::internal
