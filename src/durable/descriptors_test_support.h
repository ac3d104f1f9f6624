// A process without a free descriptor.
#pragma once

#include <sys/resource.h>
#include <unistd.h>

namespace semper::durable_test {

// While it lives, no descriptor can be opened; those that are open stay.
class NoMoreDescriptors {
 public:
  NoMoreDescriptors() {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    rlimit few = before_;
    const int first_free = ::dup(STDERR_FILENO);
    ::close(first_free);
    few.rlim_cur = static_cast<rlim_t>(first_free);
    ::setrlimit(RLIMIT_NOFILE, &few);
  }
  ~NoMoreDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  NoMoreDescriptors(const NoMoreDescriptors&) = delete;
  NoMoreDescriptors& operator=(const NoMoreDescriptors&) = delete;

 private:
  rlimit before_{};
};

}  // namespace semper::durable_test
