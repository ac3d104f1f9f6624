#include "ring/device.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "common/text.h"
#include "semper/block/file_block_device.h"

namespace semper::cli {
namespace {

constexpr std::uint32_t kSectorBytesMinimum = 512;
constexpr std::uint32_t kSectorBytesMaximum = 4096;

// Three sectors are too small for a ring, and it is the ring that says so.
constexpr std::uint64_t kDeviceBytesMinimum = 512;

}  // namespace

Status check_path(const std::string& path) {
  if (path.empty()) {
    return fail(ErrorKind::invalid_argument, "PATH is empty; name a file or a block device");
  }
  std::error_code ignored;
  const auto target = std::filesystem::read_symlink(path, ignored);
  if (target.empty()) return {};
  std::error_code reason;
  if (std::filesystem::exists(path, reason)) return {};
  if (reason == std::errc::too_many_symbolic_link_levels) {
    return fail(ErrorKind::invalid_argument,
                "the links at " + shown(path) +
                    " form a loop; remove one of them, or name the file itself");
  }
  return fail(ErrorKind::not_found, shown(path) + " is a link to " + shown(target.string()) +
                                        ", which is not there; make that, or mend the link");
}

Result<std::unique_ptr<BlockDevice>> open_ring_device(const RingPlace& place, DeviceAccess access,
                                                      ring::Flush flush) {
  SEMPER_TRY_STATUS(check_path(place.path));
  FileDeviceOptions options;
  SEMPER_TRY(options.sector_size, sector_size_of(place));
  options.read_only = access == DeviceAccess::read_only;
  options.minimum_size = kDeviceBytesMinimum;
  if (flush == ring::Flush::never) {
    options.cache = DeviceCache::page_cache;
    options.durability = Durability::none;
  }
  return open_block_device(place.path, options);
}

Status make_ring_file(Invocation& invocation, const std::string& path, std::uint64_t size) {
  const Interrupt& interrupt = invocation.interrupt();
  Progress progress = invocation.progress(system_clock());
  CreateFileOptions options;
  options.size = size;
  options.progress = [&](std::uint64_t written) {
    progress.update(0, written, size);
    return !interrupt.requested();
  };
  return create_block_file(path, options);
}

Result<std::uint32_t> sector_size_of(const RingPlace& place) {
  auto size = parse_size(place.sector_size);
  if (!size) return fail(size.error().in("--sector-size"));
  const bool is_power = (*size & (*size - 1)) == 0;
  if (*size == 0 || (is_power && *size >= kSectorBytesMinimum && *size <= kSectorBytesMaximum)) {
    return static_cast<std::uint32_t>(*size);
  }
  return fail(ErrorKind::invalid_argument,
              "--sector-size is 512, 1024, 2048 or 4096; 0 is the device's own");
}

Result<ring::AttachOptions> attach_options(const RingPlace& place, const char* command) {
  ring::AttachOptions options;
  options.queue = place.path;
  options.client = std::string("semper ring ") + command;
  SEMPER_TRY(options.sector_size, sector_size_of(place));
  return options;
}

Sectors sectors_of(const ring::Info& info, ring::Position start, ring::Position after) {
  const std::uint64_t size = std::max<std::uint32_t>(info.sector_size, 1);
  const auto sector = [&](std::uint64_t offset) {
    return (info.data_start + offset % std::max<std::uint64_t>(info.capacity, 1)) / size;
  };
  Sectors sectors;
  sectors.first = sector(start.offset());
  sectors.last = sector(std::max(after.offset(), start.offset() + 1) - 1);
  sectors.wraps = sectors.last < sectors.first;
  return sectors;
}

}  // namespace semper::cli
