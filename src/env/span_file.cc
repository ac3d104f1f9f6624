#include "semper/env/span_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <string_view>
#include <thread>
#include <utility>

#include "env/quiet_thread.h"
#include "semper/base/log.h"
#include "semper/env/fork.h"
#include "semper/env/internal/standard_streams.h"

namespace semper {
namespace {

constexpr mode_t kMode = 0640;

// All of it, as far as the file takes it. Returns 0, or the error's number.
int append(int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return 0;
}

}  // namespace

struct SpanFile::Writer {
  Writer(std::string name, int file, SpanBufferOptions options)
      : path(std::move(name)), descriptor(file), buffer(std::move(options)) {}
  ~Writer() { ::close(descriptor); }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  void run() {
    bool has_said = false;
    bool is_torn = false;  // the last line is not whole
    while (buffer.wait()) {
      const std::size_t before = buffer.size();
      std::string line = buffer.take_line() + "\n";
      if (is_torn) line.insert(0, "\n");
      const int number = append(descriptor, line);
      is_torn = number != 0;
      if (number == 0) continue;
      lost.fetch_add(std::min(before, kSpansPerLine), std::memory_order_relaxed);
      if (std::exchange(has_said, true)) continue;
      log_warning("spans", error_from_errno(number, "writing " + path).to_string() +
                               "; spans that cannot be written are dropped");
    }
  }

  const std::string path;
  const int descriptor;
  SpanBuffer buffer;
  std::atomic<std::uint64_t> lost{0};
  std::thread thread;
  const ForkGuard fork{};
};

Result<std::unique_ptr<SpanFile>> SpanFile::open(std::string path, SpanBufferOptions options) {
  const int file = internal::above_standard_streams(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, kMode));
  if (file < 0) return fail(error_from_errno(errno, "opening " + path + " for spans"));
  auto writer = std::make_unique<Writer>(std::move(path), file, std::move(options));
  SEMPER_TRY_STATUS(internal::start_quiet_thread(writer->thread, "semper-spans", "to write spans",
                                                 [own = writer.get()] { own->run(); }));
  return std::unique_ptr<SpanFile>(new SpanFile(std::move(writer)));
}

SpanFile::SpanFile(std::unique_ptr<Writer> writer) : writer_(std::move(writer)) {}

SpanFile::~SpanFile() {
  if (writer_->fork.is_foreign()) {
    static_cast<void>(writer_.release());  // its thread is the parent's, and its locks may be held
    return;
  }
  writer_->buffer.close();
  writer_->thread.join();
}

SpanBuffer& SpanFile::spans() {
  return writer_->buffer;
}

std::uint64_t SpanFile::lost() const {
  return writer_->lost.load(std::memory_order_relaxed);
}

}  // namespace semper
