// Descriptor: a file that is opened for one look or one write, and closed with it.
//
// When not: for the store's file and the index of its log (-shm). SQLite holds POSIX locks on both,
// and closing any descriptor of a file drops all that the process has on it. The log itself has
// none.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <string>

namespace semper::sqlite {

class Descriptor {
 public:
  Descriptor(const std::string& path, int flags)
      : number_(::open(path.c_str(), flags | O_CLOEXEC)) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  // Negative, with errno, where it could not be opened.
  int number() const { return number_; }

 private:
  const int number_;
};

}  // namespace semper::sqlite
