#include "semper/block/block_device.h"

#include <cstring>
#include <new>
#include <utility>

#include "semper/base/assert.h"
#include "semper/env/cancellation.h"

namespace semper {
namespace {

template <class Parts>
void assert_fits(const BlockDevice& device, std::uint64_t offset, const Parts& parts) {
  const std::uint64_t sector = device.sector_size();
  SEMPER_ASSERT(offset % sector == 0, "an offset is a multiple of the sector size");
  SEMPER_ASSERT(offset <= device.size(), "an access is inside the device");
  std::uint64_t room = device.size() - offset;
  for (const auto& part : parts) {
    SEMPER_ASSERT(part.size() % sector == 0, "a length is a multiple of the sector size");
    SEMPER_ASSERT(reinterpret_cast<std::uintptr_t>(part.data()) % sector == 0,
                  "memory is aligned to the sector size");
    SEMPER_ASSERT(part.size() <= room, "an access is inside the device");
    room -= part.size();
  }
}

Async<void> write_then_flush(BlockDevice& device, std::uint64_t offset, WriteParts parts) {
  SEMPER_CO_TRY_STATUS(co_await device.write(offset, std::move(parts)));
  co_return co_await device.flush();
}

}  // namespace

AlignedBuffer::AlignedBuffer(std::size_t size) : size_(size) {
  if (size == 0) return;
  data_.reset(static_cast<std::byte*>(::operator new[](size, std::align_val_t{kAlignment})));
  std::memset(data_.get(), 0, size);
}

void AlignedBuffer::Free::operator()(std::byte* memory) const noexcept {
  ::operator delete[](memory, std::align_val_t{kAlignment});
}

Async<void> BlockDevice::write_and_flush(std::uint64_t offset, WriteParts parts) {
  return run_through(write_then_flush(*this, offset, std::move(parts)));
}

void BlockDevice::assert_access(std::uint64_t offset, const ReadParts& parts) const {
  assert_fits(*this, offset, parts);
}

void BlockDevice::assert_access(std::uint64_t offset, const WriteParts& parts) const {
  assert_fits(*this, offset, parts);
}

}  // namespace semper
