// InputReader: reads what the tool is handed, and hears Ctrl-C meanwhile.
#pragma once

#include <cstddef>
#include <span>

#include "semper/base/result.h"
#include "semper/base/stop.h"
#include "semper/env/clock.h"

namespace semper::cli {

// Reads a file descriptor (borrowed) until its end, or until a stop is requested.
class InputReader {
 public:
  InputReader(int descriptor, StopToken stop);
  InputReader(const InputReader&) = delete;
  InputReader& operator=(const InputReader&) = delete;

  // Waits so long for input; blocks the thread. True: read() will not block. Errors: as below, and
  // that of a system that has no descriptor left.
  Result<bool> wait(Duration patience);

  // Waits for input; blocks the thread. 0: the end, or a stop. Errors: io and others of read(2).
  Result<std::size_t> read(std::span<char> into);

 private:
  // Closed when nobody can write to it any more: declared before on_stop_.
  struct Event {
    Event();
    ~Event();
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;
    int descriptor;
    int error;  // errno, where there is none
  };
  struct Wake {
    int descriptor;
    void operator()() const noexcept;
  };
  Status check() const;

  const int descriptor_;
  const Event wake_;
  const StopToken stop_;
  StopCallback<Wake> on_stop_;
};

}  // namespace semper::cli
