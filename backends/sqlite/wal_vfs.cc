#include "wal_vfs.h"

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <utility>

#include "fork_guard.h"
#include "semper/base/bytes.h"
#include "semper/base/internal/mutant.h"

namespace semper::sqlite {
namespace {

// SQLite's own VFS takes less than 128 KiB at a time: it masks the size with 17 bits.
constexpr std::size_t kWriteBytes = std::size_t{64} << 10;

thread_local bool defers = false;

struct Layer {
  sqlite3_vfs vfs{};
  sqlite3_vfs* below = nullptr;
  std::string name;
};

// What SQLite sees as the open file; the file of the VFS below lies right behind it.
struct File {
  sqlite3_file base;
  Bytes* pending;        // WAL only: written, not handed on yet
  sqlite3_int64 offset;  // of the first pending byte
  int failed;            // what a write gave; then the file takes nothing more, nor syncs
  bool begun;            // the first block was written, and not synced yet

  sqlite3_file* below() { return reinterpret_cast<sqlite3_file*>(this + 1); }
  const sqlite3_io_methods* methods() { return below()->pMethods; }

  int hand_on() {
    if (failed != SQLITE_OK || pending == nullptr || pending->empty()) return failed;
    for (std::size_t at = 0; at < pending->size() && failed == SQLITE_OK; at += kWriteBytes) {
      const auto size = std::min(kWriteBytes, pending->size() - at);
      failed = methods()->xWrite(below(), pending->data() + at, static_cast<int>(size),
                                 offset + static_cast<sqlite3_int64>(at));
    }
    pending->clear();
    if (SEMPER_MUTANT("sqlite_failed_write_ignored")) failed = SQLITE_OK;
    return failed;
  }
};

File* file_of(sqlite3_file* file) {
  return reinterpret_cast<File*>(file);
}

sqlite3_vfs* below_of(sqlite3_vfs* vfs) {
  return static_cast<Layer*>(vfs->pAppData)->below;
}

int close_file(sqlite3_file* file) {
  auto* self = file_of(file);
  const int handed_on = self->hand_on();
  delete self->pending;
  self->pending = nullptr;
  const int closed = self->methods()->xClose(self->below());
  return handed_on != SQLITE_OK ? handed_on : closed;
}

int read_file(sqlite3_file* file, void* to, int size, sqlite3_int64 offset) {
  auto* self = file_of(file);
  if (const int code = self->hand_on(); code != SQLITE_OK) return code;
  return self->methods()->xRead(self->below(), to, size, offset);
}

int write_file(sqlite3_file* file, const void* from, int size, sqlite3_int64 offset) {
  auto* self = file_of(file);
  if (offset == 0) self->begun = true;
  if (self->pending == nullptr) {
    return self->methods()->xWrite(self->below(), from, size, offset);
  }
  if (self->failed != SQLITE_OK) return self->failed;
  auto& pending = *self->pending;
  const auto end = self->offset + static_cast<sqlite3_int64>(pending.size());
  if (!pending.empty() &&
      (offset != end || pending.size() + static_cast<std::size_t>(size) > kWalBufferBytes)) {
    if (const int code = self->hand_on(); code != SQLITE_OK) return code;
  }
  if (pending.empty()) self->offset = offset;
  try {
    pending.append(static_cast<const char*>(from), static_cast<std::size_t>(size));
  } catch (const std::bad_alloc&) {
    return SQLITE_IOERR_NOMEM;
  }
  return SQLITE_OK;
}

int truncate_file(sqlite3_file* file, sqlite3_int64 size) {
  auto* self = file_of(file);
  if (const int code = self->hand_on(); code != SQLITE_OK) return code;
  return self->methods()->xTruncate(self->below(), size);
}

int sync_file(sqlite3_file* file, int flags) {
  auto* self = file_of(file);
  if (const int code = self->hand_on(); code != SQLITE_OK) return code;
  const bool begins = std::exchange(self->begun, false);
  if (self->pending != nullptr && defers) {
    if (!begins || SEMPER_MUTANT("sqlite_first_block_unflushed")) return SQLITE_OK;
  }
  return self->methods()->xSync(self->below(), flags);
}

int size_of_file(sqlite3_file* file, sqlite3_int64* size) {
  auto* self = file_of(file);
  if (const int code = self->hand_on(); code != SQLITE_OK) return code;
  return self->methods()->xFileSize(self->below(), size);
}

int control_file(sqlite3_file* file, int operation, void* argument) {
  auto* self = file_of(file);
  if (const int code = self->hand_on(); code != SQLITE_OK) return code;
  return self->methods()->xFileControl(self->below(), operation, argument);
}

// The rest goes through as it is.
template <auto Member, class... Arguments>
auto through(sqlite3_file* file, Arguments... arguments) {
  auto* self = file_of(file);
  return (self->methods()->*Member)(self->below(), arguments...);
}

constexpr sqlite3_io_methods kMethods = {
    3,
    close_file,
    read_file,
    write_file,
    truncate_file,
    sync_file,
    size_of_file,
    through<&sqlite3_io_methods::xLock, int>,
    through<&sqlite3_io_methods::xUnlock, int>,
    through<&sqlite3_io_methods::xCheckReservedLock, int*>,
    control_file,
    through<&sqlite3_io_methods::xSectorSize>,
    through<&sqlite3_io_methods::xDeviceCharacteristics>,
    through<&sqlite3_io_methods::xShmMap, int, int, int, void volatile**>,
    through<&sqlite3_io_methods::xShmLock, int, int, int>,
    through<&sqlite3_io_methods::xShmBarrier>,
    through<&sqlite3_io_methods::xShmUnmap, int>,
    through<&sqlite3_io_methods::xFetch, sqlite3_int64, int, void**>,
    through<&sqlite3_io_methods::xUnfetch, sqlite3_int64, void*>,
};

// What the VFS below cannot do, this one does not offer.
constexpr sqlite3_io_methods of_version(int version) {
  sqlite3_io_methods methods = kMethods;
  methods.iVersion = version;
  return methods;
}
constexpr sqlite3_io_methods kFirstMethods = of_version(1);
constexpr sqlite3_io_methods kSecondMethods = of_version(2);

const sqlite3_io_methods& methods_of_version(int version) {
  return version >= 3 ? kMethods : version == 2 ? kSecondMethods : kFirstMethods;
}

int open_file(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  auto* self = new (file) File{};
  auto* below = below_of(vfs);
  const int code = below->xOpen(below, name, self->below(), flags, out_flags);
  if (code != SQLITE_OK || self->methods() == nullptr) {
    return code != SQLITE_OK ? code : SQLITE_CANTOPEN;
  }
  if ((flags & SQLITE_OPEN_WAL) != 0) {
    self->pending = new (std::nothrow) Bytes();
    if (self->pending == nullptr) {
      self->methods()->xClose(self->below());
      return SQLITE_NOMEM;
    }
  }
  self->base.pMethods = &methods_of_version(self->methods()->iVersion);
  return SQLITE_OK;
}

}  // namespace

DeferredSync::DeferredSync() {
  defers = true;
}
DeferredSync::~DeferredSync() {
  defers = false;
}

Result<std::string> wal_vfs_on(const std::string& below) {
  std::lock_guard lock(fork_safe_mutex());
  static std::map<std::string, std::unique_ptr<Layer>> layers;
  sqlite3_vfs* found = sqlite3_vfs_find(below.empty() ? nullptr : below.c_str());
  if (found == nullptr) {
    return fail(ErrorKind::invalid_argument, "no SQLite VFS is named " + to_printable(below));
  }
  auto& layer = layers[found->zName];
  // A VFS that was registered anew under the same name is another one.
  if (layer && layer->below == found) return layer->name;
  if (layer) sqlite3_vfs_unregister(&layer->vfs);
  layer = std::make_unique<Layer>();
  layer->below = found;
  layer->name = std::string("semper-wal-") + found->zName;
  layer->vfs = *found;
  layer->vfs.szOsFile = static_cast<int>(sizeof(File)) + found->szOsFile;
  layer->vfs.pNext = nullptr;
  layer->vfs.zName = layer->name.c_str();
  layer->vfs.pAppData = layer.get();
  layer->vfs.xOpen = open_file;
  layer->vfs.xDelete = [](sqlite3_vfs* vfs, const char* name, int sync) {
    return below_of(vfs)->xDelete(below_of(vfs), name, sync);
  };
  layer->vfs.xAccess = [](sqlite3_vfs* vfs, const char* name, int flags, int* result) {
    return below_of(vfs)->xAccess(below_of(vfs), name, flags, result);
  };
  layer->vfs.xFullPathname = [](sqlite3_vfs* vfs, const char* name, int size, char* out) {
    return below_of(vfs)->xFullPathname(below_of(vfs), name, size, out);
  };
  layer->vfs.xDlOpen = nullptr;
  layer->vfs.xDlError = nullptr;
  layer->vfs.xDlSym = nullptr;
  layer->vfs.xDlClose = nullptr;
  layer->vfs.xRandomness = [](sqlite3_vfs* vfs, int size, char* out) {
    return below_of(vfs)->xRandomness(below_of(vfs), size, out);
  };
  layer->vfs.xSleep = [](sqlite3_vfs* vfs, int microseconds) {
    return below_of(vfs)->xSleep(below_of(vfs), microseconds);
  };
  layer->vfs.xCurrentTime = [](sqlite3_vfs* vfs, double* now) {
    return below_of(vfs)->xCurrentTime(below_of(vfs), now);
  };
  layer->vfs.xGetLastError = [](sqlite3_vfs* vfs, int size, char* out) {
    return below_of(vfs)->xGetLastError(below_of(vfs), size, out);
  };
  layer->vfs.xCurrentTimeInt64 = [](sqlite3_vfs* vfs, sqlite3_int64* now) {
    return below_of(vfs)->xCurrentTimeInt64(below_of(vfs), now);
  };
  layer->vfs.xSetSystemCall = nullptr;
  layer->vfs.xGetSystemCall = nullptr;
  layer->vfs.xNextSystemCall = nullptr;
  layer->vfs.iVersion = 2;
  if (sqlite3_vfs_register(&layer->vfs, 0) != SQLITE_OK) {
    layer.reset();
    return fail(ErrorKind::internal, "SQLite did not take the VFS for the WAL");
  }
  return layer->name;
}

}  // namespace semper::sqlite
