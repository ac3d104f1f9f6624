// ParentDescriptor: an open file that a forked child does not keep, so that locks on it, and what
// the kernel holds for it, end with the process that opened it, also while a child lives on.
//
// Threads: any; get() in the child is -1.
#pragma once

#include "file_descriptor.h"

namespace semper::internal {

class ParentDescriptor {
 public:
  explicit ParentDescriptor(FileDescriptor descriptor);
  ~ParentDescriptor();
  ParentDescriptor(const ParentDescriptor&) = delete;
  ParentDescriptor& operator=(const ParentDescriptor&) = delete;

  int get() const { return descriptor_.get(); }
  // Leaves it open, and to the caller.
  int release();

  // What a fork does in the child, with the locks that it took.
  static void close_all_in_child();

 private:
  FileDescriptor descriptor_;
};

}  // namespace semper::internal
