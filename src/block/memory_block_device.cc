#include "semper/block/memory_block_device.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "semper/base/assert.h"

namespace semper {
namespace {

constexpr std::size_t kPage = 4096;
using Page = std::array<std::byte, kPage>;

bool is_zero(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace

class MemoryDisk::State {
 public:
  explicit State(MemoryDiskOptions chosen) : options(chosen) {
    SEMPER_ASSERT(std::has_single_bit(options.sector_size) && options.sector_size >= 512 &&
                      options.sector_size <= 4096,
                  "a sector size is a power of two from 512 to 4096");
    SEMPER_ASSERT(options.size % options.sector_size == 0, "a disk is made of whole sectors");
  }

  void read(std::uint64_t offset, std::span<std::byte> out) const {
    while (!out.empty()) {
      const std::size_t inside = offset % kPage;
      const std::size_t length = std::min(out.size(), kPage - inside);
      const auto found = pages_.find(offset / kPage);
      if (found == pages_.end()) {
        std::memset(out.data(), 0, length);
      } else {
        std::memcpy(out.data(), found->second->data() + inside, length);
      }
      out = out.subspan(length);
      offset += length;
    }
  }

  // False: max_memory would be passed; pages before the one that does not fit were written.
  bool write(std::uint64_t offset, std::span<const std::byte> in) {
    while (!in.empty()) {
      const std::size_t inside = offset % kPage;
      const std::size_t length = std::min(in.size(), kPage - inside);
      auto found = pages_.find(offset / kPage);
      if (found == pages_.end() && !is_zero(in.first(length))) {
        if (memory_used() + kPage > options.max_memory) return false;
        found = pages_.emplace(offset / kPage, std::make_unique<Page>()).first;
      }
      if (found != pages_.end()) std::memcpy(found->second->data() + inside, in.data(), length);
      in = in.subspan(length);
      offset += length;
    }
    return true;
  }

  std::uint64_t memory_used() const { return pages_.size() * kPage; }

  const MemoryDiskOptions options;
  const std::shared_ptr<LocalCompanion::Shared> companion =
      std::make_shared<LocalCompanion::Shared>();
  mutable std::mutex mutex;

 private:
  std::unordered_map<std::uint64_t, std::unique_ptr<Page>> pages_;
};

MemoryDisk::MemoryDisk(MemoryDiskOptions options) : state_(std::make_shared<State>(options)) {}

std::unique_ptr<BlockDevice> MemoryDisk::open(MemoryHandleOptions options) const {
  return std::make_unique<MemoryBlockDevice>(*this, std::move(options));
}

Bytes MemoryDisk::contents(std::uint64_t offset, std::size_t length) const {
  SEMPER_ASSERT(offset <= size() && length <= size() - offset, "inside the disk");
  Bytes bytes(length, '\0');
  std::lock_guard lock(state_->mutex);
  state_->read(offset, std::as_writable_bytes(std::span(bytes)));
  return bytes;
}

Status MemoryDisk::overwrite(std::uint64_t offset, BytesView bytes) {
  SEMPER_ASSERT(offset <= size() && bytes.size() <= size() - offset, "inside the disk");
  std::lock_guard lock(state_->mutex);
  if (!state_->write(offset, std::as_bytes(std::span(bytes)))) {
    return fail(ErrorKind::exhausted, Limit{"max_memory", state_->options.max_memory},
                "the disk in memory has reached its max_memory");
  }
  return {};
}

std::uint64_t MemoryDisk::size() const noexcept {
  return state_->options.size;
}

std::uint32_t MemoryDisk::sector_size() const noexcept {
  return state_->options.sector_size;
}

std::uint64_t MemoryDisk::memory_used() const {
  std::lock_guard lock(state_->mutex);
  return state_->memory_used();
}

MemoryBlockDevice::MemoryBlockDevice(MemoryDiskOptions options)
    : MemoryBlockDevice(MemoryDisk(options)) {}

MemoryBlockDevice::MemoryBlockDevice(const MemoryDisk& disk, MemoryHandleOptions options)
    : disk_(disk.state_),
      options_(std::move(options)),
      companion_(disk_->companion, options_.name) {}

MemoryBlockDevice::~MemoryBlockDevice() = default;

std::uint64_t MemoryBlockDevice::size() const noexcept {
  return disk_->options.size;
}

std::uint32_t MemoryBlockDevice::sector_size() const noexcept {
  return disk_->options.sector_size;
}

std::string MemoryBlockDevice::description() const {
  return "in memory";
}

Error MemoryBlockDevice::closed_error() const {
  return Error(ErrorKind::closed, options_.name + " was closed; open it again");
}

Async<void> MemoryBlockDevice::read(std::uint64_t offset, ReadParts parts) {
  assert_access(offset, parts);
  if (closed_.load()) co_return fail(closed_error());
  std::lock_guard lock(disk_->mutex);
  for (auto part : parts) {
    disk_->read(offset, part);
    offset += part.size();
  }
  co_return Status{};
}

Async<void> MemoryBlockDevice::write(std::uint64_t offset, WriteParts parts) {
  assert_access(offset, parts);
  if (closed_.load()) co_return fail(closed_error());
  if (options_.read_only) {
    co_return fail(ErrorKind::permission, options_.name + " was opened read-only");
  }
  std::lock_guard lock(disk_->mutex);
  for (auto part : parts) {
    if (!disk_->write(offset, part)) {
      co_return fail(ErrorKind::exhausted, Limit{"max_memory", disk_->options.max_memory},
                     options_.name + ": the disk in memory has reached its max_memory of " +
                         std::to_string(disk_->options.max_memory) + " bytes; raise it");
    }
    offset += part.size();
  }
  co_return Status{};
}

Async<void> MemoryBlockDevice::flush() {
  if (closed_.load()) co_return fail(closed_error());
  co_return Status{};
}

Async<void> MemoryBlockDevice::close() {
  closed_.store(true);
  companion_.close();
  co_return Status{};
}

}  // namespace semper
