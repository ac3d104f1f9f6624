// Reads records of the stream through a buffer. Changes nothing; no roles, no pointers.
//
// Who goes on reading has the next stretch read ahead, while what is there is looked at. Only what
// is exposed, and so stands still until it is removed. A reading ahead that fails is as if it had
// not been: what it was to bring is read again when it is asked for. It holds its buffer and the
// format and nothing of its reader, which may go at any time.
#pragma once

#include "ring/format.h"
#include "semper/env/direct_executor.h"
#include "semper/env/one_shot.h"

namespace semper::ring::internal {

enum class ReadAhead : std::uint8_t { no, yes };

class Reader {
 public:
  // `memory_bytes`: the most that the buffers may grow to for a large record.
  Reader(std::shared_ptr<FormatOnDevice> format, std::size_t memory_bytes, ReadAhead ahead);

  // The record at `position`, whose end is at or before `exposed`. Kind `more` never comes back.
  // The payload lies in the buffer until the next call. Errors: exhausted (a record larger than the
  // memory), and the device's.
  Async<Parsed> at(std::uint64_t position, std::uint64_t exposed);
  // The same of what was read already; nothing where that does not say.
  std::optional<Parsed> at_hand(std::uint64_t position, std::uint64_t exposed) const;

  // The first valid record from `position` on; `exposed` where there is none.
  Async<std::uint64_t> search(std::uint64_t position, std::uint64_t exposed);

  // "record at position P (byte B of DEVICE) is damaged: WHY".
  std::string describe(std::uint64_t position, const char* why) const;

  // Whether the buffer has something of the record at `position`.
  bool has(std::uint64_t position) const { return position >= start_ && position < end_; }

  // Windows that were read, by at() and search().
  std::uint64_t reads() const { return reads_; }

  // Waits until nothing is read ahead.
  Async<void> rest();

  std::size_t memory_bytes() const {
    return buffer_.size() + spare_.size() + (ahead_ ? ahead_->buffer.size() : 0);
  }

 private:
  // What is being read, or was, from `start` to `end`, behind room for a tail.
  struct Ahead {
    AlignedBuffer buffer;
    std::uint64_t start = 0;
    std::uint64_t end = 0;
    std::uint64_t pieces = 0;  // under way
    bool came = true;
    OneShot<bool> done;
  };

  static Task<void> read_ahead(std::shared_ptr<Ahead> ahead, std::shared_ptr<FormatOnDevice> format,
                               std::uint64_t position, std::span<std::byte> into);
  void begin_ahead(std::uint64_t exposed);
  // False: what is asked for has to be read.
  Async<bool> take_ahead(std::uint64_t position, std::uint64_t until);
  Async<void> read_window(std::uint64_t position, std::uint64_t need, std::uint64_t exposed);
  BytesView there(std::uint64_t position) const;
  // What the buffer has from the position on, at least `need` bytes.
  Async<BytesView> window(std::uint64_t position, std::uint64_t need, std::uint64_t exposed);

  std::shared_ptr<FormatOnDevice> format_;
  std::size_t memory_bytes_;
  const bool reads_ahead_;
  const std::uint64_t read_bytes_;
  const std::size_t tail_bytes_;
  AlignedBuffer buffer_;
  AlignedBuffer spare_;
  std::size_t base_ = 0;  // where the buffer has the byte at start_
  std::uint64_t start_ = 0;
  // The buffer is valid up to here; bytes from `exposed` on are not, they may change.
  std::uint64_t end_ = 0;
  std::shared_ptr<Ahead> ahead_;
  int pause_ = 0;
  std::uint64_t reads_ = 0;
  const DirectExecutor ahead_executor_;
};

}  // namespace semper::ring::internal
