#include "semper/env/block_device.h"

#include <cstring>
#include <new>
#include <utility>

namespace semper {

AlignedBuffer::AlignedBuffer(std::size_t size) : size_(size) {
  if (size == 0) return;
  data_.reset(static_cast<std::byte*>(::operator new[](size, std::align_val_t{kAlignment})));
  std::memset(data_.get(), 0, size);
}

void AlignedBuffer::Free::operator()(std::byte* memory) const noexcept {
  ::operator delete[](memory, std::align_val_t{kAlignment});
}

Async<void> BlockDevice::write_and_flush(std::uint64_t offset, WriteParts parts) {
  SEMPER_CO_TRY_STATUS(co_await write(offset, std::move(parts)));
  co_return co_await flush();
}

}  // namespace semper
