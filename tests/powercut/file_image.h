// FileImage: one file twice, as programs see it and as the disk has it.
//
// A write changes the first; a flush moves it to the second. What lies between the two is a log:
// since the last flush, each page as each write left it, and each change of the size. At a power
// cut the disk may hold, for every page of 4096 bytes, what was flushed, or any of these versions,
// or a mixture of their sectors of 512 bytes; of the changes of the size it holds the first ones,
// up to some point, as with a journal of metadata.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "semper/base/bytes.h"
#include "semper/env/random.h"

namespace semper::testing {

inline constexpr std::size_t kPageBytes = 4096;
inline constexpr std::size_t kTearBytes = 512;

// How much a cut takes; drawn once for each cut, so that some take everything and some nearly
// nothing.
struct CutTemper {
  double keeps = 0;       // pages that were written and not flushed, and are there
  double tears = 0;       // pages that are a mixture
  double keeps_size = 0;  // files all of whose changes of size are there
  double keeps_name = 0;  // changes of names (Names::posix)

  static CutTemper draw(Random& random);
};

class FileImage {
 public:
  std::uint64_t size() const { return size_; }
  Bytes read(std::uint64_t offset, std::size_t length) const;

  void write(std::uint64_t offset, BytesView bytes);
  // Shorter or longer.
  void resize(std::uint64_t size);
  // fallocate: zeros where there was something.
  void punch(std::uint64_t offset, std::uint64_t length);

  // A flush of everything: the disk has what programs see.
  void sync();
  // A flush of the pages in this range alone, and of the size (O_DSYNC, RWF_DSYNC).
  void sync_range(std::uint64_t offset, std::size_t length);
  // A flush that fails, as Linux does it: some pages reached the disk and some did not, and all of
  // them are taken for clean: no later flush writes them, until somebody changes them again.
  void sync_failed(Random& random);

  // The power goes: programs see what the disk had.
  void cut(Random& random, const CutTemper& temper);

  bool is_flushed() const { return log_.empty(); }

 private:
  using Page = std::array<char, kPageBytes>;
  using PagePtr = std::shared_ptr<const Page>;
  using Pages = std::map<std::uint64_t, PagePtr>;  // by number; zeros where there is none

  struct Change {
    enum class Kind : std::uint8_t { page, size, hole } kind;
    std::uint64_t first = 0;  // the page; the new size; the first page of the hole
    std::uint64_t last = 0;   // behind the hole
    PagePtr page;
  };
  // A page with its tail, from this byte of the file on, zeroed.
  static PagePtr cut_tail(const PagePtr& page, std::uint64_t number, std::uint64_t size);
  static void shrink(Pages& pages, std::uint64_t size);
  static PagePtr tear(const std::vector<PagePtr>& versions, Random& random);

  // Carries the first `count` changes of size and holes out on the disk's side; of the writes only
  // those that such a change did not overtake stay in the log.
  void settle_metadata(std::size_t count);
  std::size_t metadata_changes() const;
  std::map<std::uint64_t, std::vector<PagePtr>> candidates() const;
  void bound_log();

  std::uint64_t size_ = 0;
  Pages pages_;
  std::uint64_t disk_size_ = 0;
  Pages disk_pages_;
  std::vector<Change> log_;
  std::size_t bound_ = 4096;
};

}  // namespace semper::testing
