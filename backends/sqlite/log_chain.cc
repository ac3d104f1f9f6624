#include "log_chain.h"

#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <memory>

#include "connection.h"
#include "descriptor.h"
#include "semper/base/bytes.h"
#include "semper/base/internal/mutant.h"

namespace semper::sqlite {
namespace {

constexpr std::size_t kLogHeaderBytes = 32;
constexpr std::size_t kFrameHeaderBytes = 24;
constexpr std::size_t kSaltsBytes = 8;

class ReadFile {
 public:
  explicit ReadFile(const std::string& path) : path_(path), file_(path, O_RDONLY) {}

  Status read(void* to, std::size_t bytes, std::uint64_t offset) const {
    const ssize_t got = ::pread(file_.number(), to, bytes, static_cast<off_t>(offset));
    if (got < 0) return fail(error_from_errno(errno, "cannot read " + path_));
    if (static_cast<std::size_t>(got) == bytes) return {};
    return fail(ErrorKind::io, path_ + " is shorter than its index says");
  }

 private:
  const std::string path_;
  const Descriptor file_;
};

// What the index says of the log; numbers as the machine has them.
struct IndexHeader {
  std::uint32_t version;
  std::uint32_t unused;
  std::uint32_t changes;
  std::uint8_t is_initialized;
  std::uint8_t big_endian_checksums;
  std::uint16_t page;  // 1: 64 KiB
  std::uint32_t frames;
  std::uint32_t pages;
  std::array<std::uint32_t, 2> frame_checksum;
  std::array<char, kSaltsBytes> salts;
  std::array<std::uint32_t, 2> checksum;

  std::size_t page_bytes() const { return page == 1 ? std::size_t{64} << 10 : page; }
};
static_assert(sizeof(IndexHeader) == 48);

class Checksum {
 public:
  explicit Checksum(bool big_endian) : big_endian_(big_endian) {}

  // A multiple of eight bytes.
  void add(BytesView bytes) {
    for (std::size_t at = 0; at + 8 <= bytes.size(); at += 8) {
      first_ += word(bytes, at) + second_;
      second_ += word(bytes, at + 4) + first_;
    }
  }
  std::array<std::uint32_t, 2> value() const { return {first_, second_}; }

 private:
  std::uint32_t word(BytesView bytes, std::size_t at) const {
    std::uint32_t raw = 0;
    std::memcpy(&raw, bytes.data() + at, sizeof raw);
    return big_endian_ == (std::endian::native == std::endian::big) ? raw : __builtin_bswap32(raw);
  }

  const bool big_endian_;
  std::uint32_t first_ = 0;
  std::uint32_t second_ = 0;
};

// Through SQLite's own mapping: a descriptor of ours that was opened on the index and closed would
// drop every lock that this process has on it, of all its connections.
Result<IndexHeader> read_index(const StorePath& path) {
  if (SEMPER_MUTANT("sqlite_locks_dropped_by_a_look")) Descriptor(path.index(), O_RDONLY);
  sqlite3* raw = nullptr;
  const int opened = sqlite3_open_v2(path.file.c_str(), &raw,
                                     SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  const std::unique_ptr<sqlite3, decltype(&sqlite3_close_v2)> handle(raw, &sqlite3_close_v2);
  sqlite3_file* file = nullptr;
  if (opened != SQLITE_OK ||
      sqlite3_file_control(raw, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK ||
      file == nullptr || file->pMethods == nullptr || file->pMethods->iVersion < 2) {
    return fail(ErrorKind::io, "cannot look at " + path.index());
  }
  constexpr int kIndexRegionBytes = 32 << 10;  // as SQLite maps it
  void volatile* region = nullptr;
  IndexHeader index{};
  const int mapped = file->pMethods->xShmMap(file, 0, kIndexRegionBytes, 0, &region);
  if (mapped == SQLITE_OK && region != nullptr) {
    std::memcpy(&index, const_cast<const void*>(region), sizeof index);
  }
  file->pMethods->xShmUnmap(file, 0);
  // An index that is not there yet says nothing of the log.
  if (mapped == SQLITE_OK) return index;
  return fail(Connection::error_of(mapped, path.file, "cannot look at the log's index"));
}

}  // namespace

Status check_log(const StorePath& path) {
  SEMPER_TRY(const IndexHeader index, read_index(path));
  if (index.frames == 0) return {};
  const ReadFile log(path.wal());
  Bytes header(kLogHeaderBytes, '\0');
  SEMPER_TRY_STATUS(log.read(header.data(), header.size(), 0));
  Checksum sum(index.big_endian_checksums != 0);
  sum.add(BytesView(header).substr(0, kLogHeaderBytes - 8));
  Bytes frame(kFrameHeaderBytes + index.page_bytes(), '\0');
  bool is_of_this_log = BytesView(header).substr(16, kSaltsBytes) ==
                        BytesView(index.salts.data(), index.salts.size());
  for (std::uint64_t i = 0; i < index.frames && is_of_this_log; ++i) {
    SEMPER_TRY_STATUS(log.read(frame.data(), frame.size(), kLogHeaderBytes + i * frame.size()));
    is_of_this_log = BytesView(frame).substr(8, kSaltsBytes) == BytesView(header).substr(16, 8);
    sum.add(BytesView(frame).substr(0, 8));
    sum.add(BytesView(frame).substr(kFrameHeaderBytes));
  }
  if (is_of_this_log && sum.value() == index.frame_checksum) return {};
  return fail(
      ErrorKind::io,
      path.wal() +
          " lost what could not be flushed; what was acknowledged is in it still: close the "
          "store in every process, so that it is read anew, and open it again");
}

}  // namespace semper::sqlite
