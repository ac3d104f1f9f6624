#include "fault_vfs.h"

#include <new>

namespace semper::sqlite {
namespace {

// Our file, followed in memory by the one of the VFS below.
struct FaultyFile {
  sqlite3_file base;
  const FaultVfs* owner;
  FaultFile kind;
  sqlite3_file* below() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};

FaultyFile& mine(sqlite3_file* file) {
  return *reinterpret_cast<FaultyFile*>(file);
}
sqlite3_file* below(sqlite3_file* file) {
  return mine(file).below();
}
int decide(sqlite3_file* file, FaultOperation operation) {
  return mine(file).owner->decide(mine(file).kind, operation);
}

int write(sqlite3_file* file, const void* from, int bytes, sqlite3_int64 offset) {
  const int code = decide(file, FaultOperation::write);
  return code != SQLITE_OK ? code : below(file)->pMethods->xWrite(below(file), from, bytes, offset);
}
int sync(sqlite3_file* file, int flags) {
  const int code = decide(file, FaultOperation::sync);
  return code != SQLITE_OK ? code : below(file)->pMethods->xSync(below(file), flags);
}
int truncate(sqlite3_file* file, sqlite3_int64 size) {
  const int code = decide(file, FaultOperation::truncate);
  return code != SQLITE_OK ? code : below(file)->pMethods->xTruncate(below(file), size);
}
int close(sqlite3_file* file) {
  return below(file)->pMethods->xClose(below(file));
}
int read(sqlite3_file* file, void* into, int bytes, sqlite3_int64 offset) {
  const int code = decide(file, FaultOperation::read);
  return code != SQLITE_OK ? code : below(file)->pMethods->xRead(below(file), into, bytes, offset);
}
int file_size(sqlite3_file* file, sqlite3_int64* size) {
  return below(file)->pMethods->xFileSize(below(file), size);
}
int lock(sqlite3_file* file, int level) {
  return below(file)->pMethods->xLock(below(file), level);
}
int unlock(sqlite3_file* file, int level) {
  return below(file)->pMethods->xUnlock(below(file), level);
}
int check_reserved(sqlite3_file* file, int* answer) {
  return below(file)->pMethods->xCheckReservedLock(below(file), answer);
}
int control(sqlite3_file* file, int operation, void* argument) {
  return below(file)->pMethods->xFileControl(below(file), operation, argument);
}
int sector_size(sqlite3_file* file) {
  return below(file)->pMethods->xSectorSize(below(file));
}
int characteristics(sqlite3_file* file) {
  return below(file)->pMethods->xDeviceCharacteristics(below(file));
}
int shm_map(sqlite3_file* file, int page, int size, int extend, void volatile** out) {
  return below(file)->pMethods->xShmMap(below(file), page, size, extend, out);
}
int shm_lock(sqlite3_file* file, int offset, int count, int flags) {
  return below(file)->pMethods->xShmLock(below(file), offset, count, flags);
}
void shm_barrier(sqlite3_file* file) {
  below(file)->pMethods->xShmBarrier(below(file));
}
int shm_unmap(sqlite3_file* file, int remove) {
  return below(file)->pMethods->xShmUnmap(below(file), remove);
}

int fetch(sqlite3_file* file, sqlite3_int64 offset, int size, void** out) {
  return below(file)->pMethods->xFetch(below(file), offset, size, out);
}
int unfetch(sqlite3_file* file, sqlite3_int64 offset, void* page) {
  return below(file)->pMethods->xUnfetch(below(file), offset, page);
}

const sqlite3_io_methods kMethods = {
    3,
    close,
    read,
    write,
    truncate,
    sync,
    file_size,
    lock,
    unlock,
    check_reserved,
    control,
    sector_size,
    characteristics,
    shm_map,
    shm_lock,
    shm_barrier,
    shm_unmap,
    fetch,
    unfetch,
};

sqlite3_vfs* default_vfs() {
  return sqlite3_vfs_find(nullptr);
}

int open(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  auto* made = new (file) FaultyFile{};
  made->owner = static_cast<const FaultVfs*>(vfs->pAppData);
  made->kind = (flags & SQLITE_OPEN_MAIN_DB) != 0 ? FaultFile::database
               : (flags & SQLITE_OPEN_WAL) != 0   ? FaultFile::wal
                                                  : FaultFile::other;
  made->owner->opens(made->kind);
  const int code = default_vfs()->xOpen(default_vfs(), name, made->below(), flags, out_flags);
  made->base.pMethods = code == SQLITE_OK ? &kMethods : nullptr;
  return code;
}

}  // namespace

FaultVfs::FaultVfs(std::string name) : name_(std::move(name)), vfs_(*default_vfs()) {
  vfs_.pNext = nullptr;
  vfs_.zName = name_.c_str();
  vfs_.pAppData = this;
  vfs_.szOsFile = static_cast<int>(sizeof(FaultyFile)) + default_vfs()->szOsFile;
  vfs_.xOpen = open;
  // The rest takes the default VFS's own object.
  vfs_.xDelete = [](sqlite3_vfs*, const char* path, int sync_directory) {
    return default_vfs()->xDelete(default_vfs(), path, sync_directory);
  };
  vfs_.xAccess = [](sqlite3_vfs*, const char* path, int flags, int* answer) {
    return default_vfs()->xAccess(default_vfs(), path, flags, answer);
  };
  vfs_.xFullPathname = [](sqlite3_vfs*, const char* path, int size, char* out) {
    return default_vfs()->xFullPathname(default_vfs(), path, size, out);
  };
  sqlite3_vfs_register(&vfs_, 0);
}

FaultVfs::~FaultVfs() {
  sqlite3_vfs_unregister(&vfs_);
}

}  // namespace semper::sqlite
