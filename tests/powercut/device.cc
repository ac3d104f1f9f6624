#include "device.h"

#include <sys/stat.h>

#include <filesystem>

namespace semper::testing {
Result<std::unique_ptr<BlockDevice>> open_or_make_file(const RoleOptions& options, Notes& notes,
                                                       const std::vector<Note>& before) {
  if (!options.device.empty()) return open_ring_file(options);
  const std::string path = ring_path(options);
  struct stat status {};
  const bool is_there = ::stat(path.c_str(), &status) == 0;
  const bool is_whole = is_there && status.st_size == static_cast<off_t>(kRingBytes);
  if (has_note(before, 'F')) {
    if (!is_whole) return fail(ErrorKind::corrupt, path + " was made durably and is not whole");
  } else if (!is_whole) {
    CreateFileOptions wanted;
    wanted.size = kRingBytes;
    wanted.existing = Existing::replace;
    SEMPER_TRY_STATUS(create_block_file(path, wanted));
    notes.write('F');
  }
  return open_ring_file(options);
}

Result<std::unique_ptr<BlockDevice>> open_ring_file(const RoleOptions& options) {
  static constexpr IoMode kModes[] = {IoMode::automatic, IoMode::threads, IoMode::inline_blocking};
  SeededRandom random(options.seed);
  FileDeviceOptions chosen;
  chosen.mode = kModes[random.below(std::size(kModes))];
  // On a block device both sides choose the same: where one writes directly what another one has
  // just changed in the page cache, the kernel says EIO to the next flush.
  const bool is_direct = options.device.empty() ? random.chance(0.5) : options.format == "semper-1";
  chosen.cache = is_direct ? DeviceCache::direct_if_possible : DeviceCache::page_cache;
  chosen.spin = std::chrono::microseconds(0);
  return open_block_device(ring_path(options), chosen);
}

ring::AttachOptions attach_options(const RoleOptions& options) {
  ring::AttachOptions chosen;
  chosen.flush = options.flushes ? ring::Flush::always : ring::Flush::never;
  return chosen;
}

}  // namespace semper::testing
