// BackupOptions, BackupReport: of Backend::backup (store/backend.h), which copies a store that is
// in use, as `semper store backup` does.
//
//   semper::BackupOptions options;
//   options.on_progress = [](const semper::BackupProgress& now) { show(now.done_bytes); };
//
// When not: copying a store into one of another kind (`semper store copy`). Plain values.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "semper/base/stop.h"
#include "semper/store/commit.h"

namespace semper {

struct BackupProgress {
  enum class Step : std::uint8_t { copy, verify };
  Step step = Step::copy;
  std::uint64_t done_bytes = 0;
  std::uint64_t total_bytes = 0;  // may grow a little
};

struct BackupOptions {
  // Called from time to time, on a thread of the backend; should not block for long, and must not
  // wait for a commit to the same store: a store that is opened again after a failure waits for it.
  std::function<void(const BackupProgress& progress)> on_progress = {};
  // Stops the backup: it returns `cancelled` and leaves nothing behind.
  StopToken stop = {};
};

struct BackupReport {
  Version version = 0;  // the copied state is the one after this commit
  std::uint64_t bytes = 0;
  std::string checked;  // a sentence, as from check()
};

}  // namespace semper
