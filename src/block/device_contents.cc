#include "semper/block/device_contents.h"

#include <blkid/blkid.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <optional>

#include "file_descriptor.h"

namespace semper {
namespace {

// The last mark from the front is the second header of LUKS2, at 4 MiB; from the end, ZFS and the
// firmware RAIDs stand within half a MiB.
constexpr std::uint64_t kHeadBytes = (std::uint64_t{4} << 20) + (std::uint64_t{64} << 10);
constexpr std::uint64_t kTailBytes = std::uint64_t{1} << 20;
constexpr std::uint64_t kReadBytes = std::uint64_t{256} << 10;

struct Stretch {
  std::uint64_t start = 0;
  std::uint64_t end = 0;
};

std::array<Stretch, 2> places_of_marks(const BlockDevice& device) {
  const std::uint64_t size = device.size();
  const std::uint64_t head = std::min(size, kHeadBytes);
  const std::uint64_t unit = device.sector_size();
  const std::uint64_t tail = size > kTailBytes ? (size - kTailBytes) / unit * unit : 0;
  return {Stretch{0, head / unit * unit}, Stretch{std::max(head / unit * unit, tail), size}};
}

// Calls `visit(offset, bytes)` for what is looked at, in order, until it returns false.
template <class Visit>
Async<void> read_marks(BlockDevice& device, const DeviceContentsOptions& options, Visit visit) {
  AlignedBuffer buffer(static_cast<std::size_t>(kReadBytes));
  for (const Stretch& stretch : places_of_marks(device)) {
    for (std::uint64_t at = stretch.start; at < stretch.end; at += kReadBytes) {
      const auto length = static_cast<std::size_t>(std::min(kReadBytes, stretch.end - at));
      ReadParts parts{buffer.span().first(length)};
      SEMPER_CO_TRY_STATUS(co_await device.read(at, std::move(parts)));
      if (at < options.ignored_head_bytes) {
        const auto own = std::min<std::uint64_t>(length, options.ignored_head_bytes - at);
        std::memset(buffer.data(), 0, static_cast<std::size_t>(own));
      }
      if (!visit(at, buffer.view().substr(0, length))) co_return Result<void>();
    }
  }
  co_return Result<void>();
}

std::optional<std::size_t> first_not_zero(BytesView bytes) {
  const auto found = std::find_if(bytes.begin(), bytes.end(), [](char byte) { return byte != 0; });
  if (found == bytes.end()) return std::nullopt;
  return static_cast<std::size_t>(found - bytes.begin());
}

std::string value_of(blkid_probe probe, const char* name) {
  const char* value = nullptr;
  if (blkid_probe_lookup_value(probe, name, &value, nullptr) != 0 || value == nullptr) return "";
  return to_printable(value, 64);
}

std::string article(const std::string& noun) {
  return noun.find_first_of("aeio") == 0 ? "an " : "a ";
}

std::string words_of(blkid_probe probe) {
  const std::string type = value_of(probe, "TYPE");
  if (type.empty()) {
    const std::string table = value_of(probe, "PTTYPE");
    return table.empty() ? "" : "a " + table + " partition table";
  }
  const std::string usage = value_of(probe, "USAGE");
  const std::string label = value_of(probe, "LABEL");
  std::string words = usage == "filesystem" ? article(type) + type + " file system"
                      : usage == "raid"     ? "a part of a RAID or volume group (" + type + ")"
                      : usage == "crypto"   ? "an encrypted volume (" + type + ")"
                                            : "what is marked as " + type;
  if (!label.empty()) words += " called \"" + label + "\"";
  return words;
}

// What libblkid makes of an image that has the device's size and, where marks stand, its bytes.
std::string name_of(int image) {
  const std::unique_ptr<struct blkid_struct_probe, decltype(&blkid_free_probe)> probe(
      blkid_new_probe(), &blkid_free_probe);
  if (!probe || blkid_probe_set_device(probe.get(), image, 0, 0) != 0) return "";
  blkid_probe_enable_superblocks(probe.get(), 1);
  blkid_probe_set_superblocks_flags(probe.get(),
                                    BLKID_SUBLKS_TYPE | BLKID_SUBLKS_USAGE | BLKID_SUBLKS_LABEL);
  blkid_probe_enable_partitions(probe.get(), 1);
  if (blkid_do_probe(probe.get()) != 0) return "";  // the first that it finds
  return words_of(probe.get());
}

}  // namespace

Async<bool> is_device_blank(BlockDevice& device, DeviceContentsOptions options) {
  bool blank = true;
  SEMPER_CO_TRY_STATUS(co_await read_marks(device, options, [&](std::uint64_t, BytesView bytes) {
    blank = !first_not_zero(bytes);
    return blank;
  }));
  co_return blank;
}

Async<std::string> device_contents(BlockDevice& device, DeviceContentsOptions options) {
  std::optional<std::uint64_t> first;
  const internal::FileDescriptor image(memfd_create("semper device contents", MFD_CLOEXEC));
  // Without memory for it there is no name, and the answer is the same.
  bool has_image = image.get() >= 0 && device.size() <= std::uint64_t{1} << 60 &&
                   ftruncate(image.get(), static_cast<off_t>(device.size())) == 0;
  const auto look = [&](std::uint64_t offset, BytesView bytes) {
    const auto found = first_not_zero(bytes);
    if (!found) return true;
    if (!first) first = offset + *found;
    has_image =
        has_image && pwrite(image.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset)) ==
                         static_cast<ssize_t>(bytes.size());
    return true;
  };
  SEMPER_CO_TRY_STATUS(co_await read_marks(device, options, look));
  if (!first) co_return std::string();
  std::string name = has_image ? name_of(image.get()) : "";
  if (name.empty()) name = "data (from byte " + std::to_string(*first) + " on)";
  co_return name;
}

}  // namespace semper
