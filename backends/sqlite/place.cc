#include "place.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <mutex>
#include <tuple>

#include "fork_guard.h"
#include "semper/base/internal/mutant.h"

namespace semper::sqlite {
namespace {

constexpr std::size_t kLog = 1;

// Which process, which file.
using Owner = std::tuple<std::uint64_t, std::uint64_t, std::uint64_t>;

std::map<Owner, std::weak_ptr<const Place>>& places() {
  static auto* const all = new std::map<Owner, std::weak_ptr<const Place>>;
  return *all;
}

}  // namespace

Result<NamedFile> look_at(const std::string& path) {
  struct statx status {};
  if (::statx(AT_FDCWD, path.c_str(), AT_STATX_DONT_SYNC, STATX_INO | STATX_NLINK, &status) != 0) {
    return fail(error_from_errno(errno, "cannot look at " + path));
  }
  NamedFile file;
  file.identity = {makedev(status.stx_dev_major, status.stx_dev_minor), status.stx_ino};
  file.links = status.stx_nlink;
  file.is_mounted_alone = (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
  return file;
}

Error lost_file(const std::string& path, const Result<NamedFile>& present) {
  const char* what = present ? " was replaced by another file" : " was deleted or moved";
  return Error(ErrorKind::io, path + what +
                                  " while the store was open, so that nobody else would see what "
                                  "is committed here; nothing more is taken: close the store "
                                  "everywhere, put the right file in its place, and open it again");
}

Result<std::shared_ptr<const Place>> Place::remember(const SqliteOptions& options) {
  const StorePath& path = options.path;
  SEMPER_TRY(const NamedFile store, look_at(path.file));
  std::lock_guard lock(fork_safe_mutex());
  const Owner owner{fork_generation(), store.identity.device, store.identity.inode};
  std::erase_if(places(), [](const auto& entry) { return entry.second.expired(); });
  if (auto known = places()[owner].lock()) {
    SEMPER_TRY_STATUS(known->check());
    return known;
  }
  std::shared_ptr<Place> place(new Place());
  place->compares_ = options.network != SqliteOptions::Network::force;
  for (const auto& name : {path.file, path.wal(), path.index(), path.sidecar()}) {
    const auto present = look_at(name);
    if (!present) return fail(lost_file(name, present));
    place->files_.push_back({name, present->identity});
  }
  place->store_ = ::open(path.file.c_str(), O_PATH | O_CLOEXEC);
  if (place->store_ < 0) return fail(error_from_errno(errno, "cannot look at " + path.file));
  SEMPER_TRY_STATUS(place->check());
  places()[owner] = place;
  return place;
}

Place::~Place() {
  if (store_ >= 0) ::close(store_);
}

Status Place::check() const {
  for (const auto& file : files_) SEMPER_TRY_STATUS(check(file));
  return {};
}

bool Place::is_store_in_place() const {
  return check(files_.front()).has_value();
}

Status Place::check(const File& file) const {
  const auto present = look_at(file.path);
  if (SEMPER_MUTANT("sqlite_replaced_file_unnoticed")) return {};
  if (present && (present->identity == file.identity || !compares_)) return {};
  if (!present && present.error().kind() != ErrorKind::not_found) return {};  // proves nothing
  return fail(lost_file(file.path, present));
}

bool Place::is_deleted() const {
  struct statx status {};
  return ::statx(store_, "", AT_EMPTY_PATH, STATX_NLINK, &status) == 0 && status.stx_nlink == 0;
}

bool Place::is_only_the_log_lost() const {
  for (std::size_t i = 0; i < files_.size(); ++i) {
    const auto present = look_at(files_[i].path);
    const bool in_place = present && present->identity == files_[i].identity;
    if (i == kLog ? in_place || present : !in_place) return false;
  }
  return true;
}

}  // namespace semper::sqlite
