// Finds out what of a semper-1 ring is exposed after a crash: the records behind the producer's
// position say it themselves.
//
// Rules (each is there for a crash that the tests enumerate):
//   - only records of the producer's current epoch count: what an earlier producer left behind its
//     last word was dropped by its successor;
//   - a batch counts when all its records are whole, from the mark of its beginning to that of its
//     end; a published batch exposes all before it;
//   - where no valid record is, the end is reached, unless a record further on says that its write
//     began later: then what is missing was acknowledged, and is damaged rather than torn;
//   - a record that no producer can have written yet (of a later epoch, or more than a lap ahead)
//     says that the pointers are older than the data: they were put back, nothing is believed.
#pragma once

#include "ring/blocks.h"

namespace semper::ring::internal {

class Recovery {
 public:
  Recovery(StreamIo& io, std::uint32_t identity_crc, const Pointer& producer,
           const Pointer& consumer);

  Async<Recovered> run();
  // Of the current epoch, up to the first place without a valid record: while a producer writes,
  // a hole may be filled a moment later.
  Async<Recovered> run_tail();

 private:
  // Reads the record at `position` and checks all of it, whatever its size.
  Async<Parsed> verify(std::uint64_t position);
  // Bytes from the position on, at least `wanted` where the limit allows it and the window can.
  Async<BytesView> window(std::uint64_t position, std::size_t wanted);
  Async<void> scan(std::uint32_t epoch, bool published_too);
  void look_for_later_times(std::uint64_t at, BytesView head);
  // The batch to go on with behind a damaged place; nothing where it is the end.
  Async<std::optional<std::uint64_t>> look_ahead(std::uint64_t position, std::uint32_t epoch);

  StreamIo& io_;
  std::uint32_t identity_crc_;
  Pointer producer_;
  std::uint64_t start_;
  std::uint64_t limit_;
  bool mid_batch_;
  bool looks_ahead_ = true;
  AlignedBuffer buffer_;
  std::uint64_t buffer_start_ = 0;
  std::uint64_t buffer_end_ = 0;
  // The latest beginning of a write that a record told of; kept, so that many damaged records do
  // not each cost a long search.
  std::uint64_t later_write_start_ = 0;
  Recovered recovered_;
};

}  // namespace semper::ring::internal
