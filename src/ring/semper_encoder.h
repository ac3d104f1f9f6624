// The encoder of semper-1: items into records, records into batches, batches into one write.
#pragma once

#include "ring/record.h"

namespace semper::ring::internal {

class SemperEncoder final : public Encoder {
 public:
  SemperEncoder(Geometry geometry, std::uint32_t identity_crc, std::uint64_t position,
                std::uint32_t epoch, std::size_t buffer_bytes);

  std::uint64_t end_with(const ItemList& items, Exposure exposure) const override;
  std::uint64_t limit(std::uint64_t consumed) const override;
  Fit fit(const ItemList& items, Exposure exposure) const override;
  std::uint64_t bytes_for(const ItemList& items) const override;
  Async<void> load_base(std::uint64_t bytes) override;
  std::size_t append(const ItemList& items, Exposure exposure) override;
  std::uint64_t appended_end() const override { return cursor_; }
  bool empty() const override { return cursor_ == start_; }
  std::uint64_t settled_bytes() const override { return settled_end() - taken_; }
  Group take_part(std::uint64_t most) override;
  Group seal() override;
  void restart(std::uint64_t position, std::uint32_t epoch) override;
  std::size_t memory_bytes() const override { return gather_.size() + flight_.size(); }

 private:
  // Where the next batch begins: the open one's end would be rounded up.
  std::uint64_t next_block() const { return round_up(cursor_, kBlockBytes); }
  std::uint64_t first_position(Exposure exposure) const;
  // The last record of an open batch becomes the mark of its end.
  std::uint64_t settled_end() const;
  void close_batch();
  void grow(std::uint64_t bytes);

  Geometry geometry_;
  std::uint32_t identity_crc_;
  std::uint32_t epoch_;
  std::size_t max_bytes_;
  AlignedBuffer gather_;  // the write that is being put together, from start_ on
  AlignedBuffer flight_;  // the one that is under way
  std::uint64_t start_;
  std::uint64_t taken_;  // of it, up to here, by take_part()
  std::uint64_t cursor_;
  // The open batch of published items; pushes never share a batch, for each call's end must be a
  // place where the exposed part can end.
  bool open_ = false;
  RecordHeader last_;  // the last record of the open batch, to be marked as its end
  std::vector<std::uint64_t> batch_ends_;
};

}  // namespace semper::ring::internal
