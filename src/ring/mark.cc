#include "ring/mark.h"

#include <utility>

#include "ring/superblock.h"

namespace semper::ring::internal {

Async<void> confirm_mark(FormatOnDevice& format) {
  BlockDevice& device = format.device();
  if (format.id() == Format::semper_1) co_return co_await confirm_superblock(device);
  AlignedBuffer sector(format.sector_size());
  ReadParts there{sector.span()};
  SEMPER_CO_TRY_STATUS(co_await device.read(0, std::move(there)));
  WriteParts parts{std::as_const(sector).span()};
  co_return co_await device.write_and_flush(0, std::move(parts));
}

}  // namespace semper::ring::internal
