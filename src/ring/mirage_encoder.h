// The encoder of mirage-1.0: items into sectors that keep every byte which is not the item's.
//
// The OCaml library leaves padding and unused bytes as they were, so what lies there is read before
// it is written over: far ahead at once where the ring is large, all of it where it is small.
#pragma once

#include "ring/format.h"

namespace semper::ring::internal {

class MirageEncoder final : public Encoder {
 public:
  MirageEncoder(StreamIo& io, std::uint64_t position, std::size_t buffer_bytes);

  std::uint64_t end_with(const ItemList& items, Exposure exposure) const override;
  std::uint64_t limit(std::uint64_t consumed) const override;
  Fit fit(const ItemList& items, Exposure exposure) const override;
  std::uint64_t bytes_for(const ItemList& items) const override;
  Async<void> load_base(std::uint64_t bytes) override;
  std::size_t append(const ItemList& items, Exposure exposure) override;
  std::uint64_t appended_end() const override { return cursor_; }
  bool empty() const override { return cursor_ == start_; }
  Group seal() override;
  void restart(std::uint64_t position, std::uint32_t epoch) override;
  std::size_t memory_bytes() const override { return window_.size() + flight_.size(); }

 private:
  bool is_whole_lap() const { return window_.size() == io_.geometry().capacity; }
  void put(BytesView bytes);

  StreamIo& io_;
  std::size_t max_bytes_;
  // The stream's bytes from base_ on, as they are on the device with what is gathered put in. A
  // window of a whole lap is used around its end and never has to be read again.
  AlignedBuffer window_;
  AlignedBuffer flight_;
  std::uint64_t base_ = 0;
  bool loaded_ = false;
  std::uint64_t start_;
  std::uint64_t cursor_;
  std::vector<std::uint64_t> batch_ends_;
};

// What an item takes of the stream: its length field, itself, and padding to four bytes.
inline constexpr std::uint64_t kMirageLengthBytes = 4;
constexpr std::uint64_t mirage_record_bytes(std::uint64_t payload) {
  return round_up(payload + kMirageLengthBytes, 4);
}

}  // namespace semper::ring::internal
