// Reads records of the stream through one buffer. Changes nothing; no roles, no pointers.
#pragma once

#include "ring/format.h"

namespace semper::ring::internal {

class Reader {
 public:
  // `memory_bytes`: the most that the buffer may grow to for a large record.
  Reader(std::shared_ptr<FormatOnDevice> format, std::size_t memory_bytes);

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

  // Forgets what was read, for what the producer may have written over.
  void forget() { start_ = end_ = 0; }
  std::size_t memory_bytes() const { return buffer_.size(); }

 private:
  // What the buffer has from the position on, at least `need` bytes.
  Async<BytesView> window(std::uint64_t position, std::uint64_t need, std::uint64_t exposed);

  std::shared_ptr<FormatOnDevice> format_;
  std::size_t memory_bytes_;
  AlignedBuffer buffer_;
  std::uint64_t start_ = 0;
  // The buffer is valid up to here; bytes from `exposed` on are not, they may change.
  std::uint64_t end_ = 0;
};

}  // namespace semper::ring::internal
