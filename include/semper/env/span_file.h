// SpanFile: writes spans (env/spans.h) to a file, one OTLP/JSON line after the other.
//
//   SEMPER_CO_TRY(const auto file, semper::SpanFile::open("/var/log/app/spans.jsonl"));
//   semper::HostOptions options;
//   options.spans = &file->spans();     // the file outlives the host
//
// What for: a collector on this machine reads the file and sends it on: the receiver `otlpjsonfile`
// of the OpenTelemetry collector (docs/operations.md, "Traces"). When not: to send spans over the
// network from this process (env/span_sender.h).
//
// A thread of its own appends what is recorded, as soon as it is, and what comes meanwhile goes
// into the next line: nobody waits for the disk. The file is created if need be, appended to, and
// never flushed or made shorter here; rotate it by copying and truncating. Lines that cannot be
// written are dropped and counted, and the first is logged. A process that is killed loses what
// waits in memory. The destructor writes that first. Several processes may append to one file.
// After fork(): the child's is without effect. Threads: any.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "semper/base/result.h"
#include "semper/env/spans.h"

namespace semper {

class SpanFile {
 public:
  // Errors: permission, not_found (the folder), io, exhausted (no thread, no descriptor, no room).
  static Result<std::unique_ptr<SpanFile>> open(std::string path, SpanBufferOptions options = {});
  ~SpanFile();
  SpanFile(const SpanFile&) = delete;
  SpanFile& operator=(const SpanFile&) = delete;

  // Lives as long as the file.
  SpanBuffer& spans();
  // Spans that were recorded, and could not be written.
  std::uint64_t lost() const;

 private:
  struct Writer;
  explicit SpanFile(std::unique_ptr<Writer> writer);

  std::unique_ptr<Writer> writer_;
};

}  // namespace semper
