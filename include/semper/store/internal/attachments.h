// What rooms above the store keep beside an open one: the server room its hosts and publishers.
#pragma once

#include <any>
#include <memory>
#include <mutex>
#include <vector>

namespace semper::internal {

// One object for each type, made when it is first asked for. Threads: any.
class Attachments {
 public:
  template <class T>
  std::shared_ptr<T> get() {
    std::lock_guard lock(mutex_);
    for (auto& item : items_) {
      if (auto* found = std::any_cast<std::shared_ptr<T>>(&item)) return *found;
    }
    auto made = std::make_shared<T>();
    items_.emplace_back(made);
    return made;
  }

 private:
  std::mutex mutex_;
  std::vector<std::any> items_;
};

// The attachments of an open store in this process, whichever copy of its handle is asked.
struct StoreParts {
  template <class AnyStore>
  static Attachments& attachments(const AnyStore& store) {
    return store.shared_->attachments;
  }
};

}  // namespace semper::internal
