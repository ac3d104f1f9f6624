// The format semper-1; see docs/ring-format-semper-1.md.
#pragma once

#include "ring/blocks.h"

namespace semper::ring::internal {

class SemperFormat final : public FormatOnDevice {
 public:
  SemperFormat(BlockDevice& device, const Superblock& superblock);

  Format id() const noexcept override { return Format::semper_1; }
  std::string identity() const override;
  std::uint64_t identity_word() const noexcept override;
  std::uint32_t sector_size() const noexcept override { return device().sector_size(); }
  bool records_publish() const noexcept override { return true; }

  Async<Pointer> read_pointer(Side side) override;
  Async<void> write_pointer(Pointer& pointer, Flush flush) override;
  Async<std::string> side_text(Side side) override;
  Async<void> claim(Pointer& pointer, Flush flush) override;
  Async<void> confirm(Pointer& pointer, Flush flush) override;
  Async<void> settle(Pointer& own, const Standing& standing) override;
  Async<void> finish_settling() override;
  Async<std::vector<HeaderDamage>> check_headers() override;
  Async<Recovered> recover(const Pointer& producer, const Pointer& consumer) override;

  Async<Recovered> tail(const Pointer& producer, std::uint64_t from) override;

  Parsed parse(BytesView bytes, std::uint64_t position, std::uint64_t limit) const override;
  std::uint64_t record_step() const noexcept override { return kRecordAlign; }

  std::uint64_t max_item_bytes(std::size_t buffer_bytes) const noexcept override;
  std::unique_ptr<Encoder> encoder(std::uint64_t position, std::uint32_t epoch,
                                   std::size_t buffer_bytes) override;

 private:
  Async<void> write_slot(Pointer& pointer, std::uint32_t slot, Flush flush);
  Async<void> write_claim_copy(Pointer& pointer, Flush flush);
  // In settling.cc.
  Async<void> settle_stretch(Pointer& own, std::uint64_t position, std::uint64_t copy_place,
                             std::span<std::byte> bytes);
  Async<void> finish_redo(const Redo& redo, std::uint64_t consumed);
  Async<void> read_copy(std::uint64_t place, std::span<std::byte> into);
  Async<void> write_copy(std::uint64_t place, std::span<const std::byte> from);

  // Settled by who attached before, and now for certain.
  std::uint64_t settled_until_ = 0;
  Identity identity_;
  std::uint32_t identity_crc_;
};

}  // namespace semper::ring::internal
