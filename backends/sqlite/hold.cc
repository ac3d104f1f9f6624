#include "hold.h"

#include <sqlite3.h>

#include "semper/base/internal/mutant.h"

namespace semper::sqlite {

std::unique_ptr<Hold> Hold::take(const SqliteOptions& options) {
  if (SEMPER_MUTANT("sqlite_reopened_without_a_hold")) return nullptr;
  sqlite3_vfs* vfs = sqlite3_vfs_find(options.vfs.empty() ? nullptr : options.vfs.c_str());
  if (vfs == nullptr) return nullptr;
  std::unique_ptr<Hold> hold(new Hold());
  hold->name_ = {sqlite3_create_filename(options.path.file.c_str(), "", "", 0, nullptr),
                 [](const char* name) { sqlite3_free_filename(name); }};
  hold->memory_ = std::make_unique<char[]>(static_cast<std::size_t>(vfs->szOsFile));
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_MAIN_DB;
  const int opened = vfs->xOpen(vfs, hold->name_.get(), hold->file(), flags, nullptr);
  if (opened != SQLITE_OK) hold->file()->pMethods = nullptr;
  if (opened != SQLITE_OK ||
      hold->file()->pMethods->xLock(hold->file(), SQLITE_LOCK_SHARED) != SQLITE_OK) {
    return nullptr;
  }
  return hold;
}

Hold::~Hold() {
  const auto* methods = file()->pMethods;
  if (methods == nullptr) return;
  methods->xUnlock(file(), SQLITE_LOCK_NONE);
  methods->xClose(file());
}

}  // namespace semper::sqlite
