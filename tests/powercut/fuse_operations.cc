// The requests of the kernel, one function each.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "fuse_core.h"

namespace semper::testing {
namespace {

constexpr std::size_t kWriteBytes = std::size_t{1} << 20;

FuseServer::Core& core_of(fuse_req_t request) {
  return *static_cast<FuseServer::Core*>(fuse_req_userdata(request));
}

std::uint64_t thread_of(fuse_req_t request) {
  return static_cast<std::uint64_t>(fuse_req_ctx(request)->pid);
}

void touch(Inode& inode) {
  ::clock_gettime(CLOCK_REALTIME, &inode.changed);
}

void init(void*, fuse_conn_info* connection) {
  connection->want &= ~static_cast<unsigned>(FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_AUTO_INVAL_DATA |
                                             FUSE_CAP_ATOMIC_O_TRUNC);
  connection->max_write = kWriteBytes;
  connection->time_gran = 1;
}

void lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
  auto& core = core_of(request);
  core.look(request, [&] {
    const auto found = core.image.look_up(parent, name);
    if (!found) {
      fuse_reply_err(request, ENOENT);
      return;
    }
    const auto entry = core.entry(*found);
    fuse_reply_entry(request, &entry);
  });
}

void getattr(fuse_req_t request, fuse_ino_t number, fuse_file_info*) {
  auto& core = core_of(request);
  core.look(request, [&] {
    const auto attributes = core.attributes(number);
    fuse_reply_attr(request, &attributes, kForEver);
  });
}

// Owner, mode and times are durable at once; the size is not.
void setattr(fuse_req_t request, fuse_ino_t number, struct stat* wanted, int what,
             fuse_file_info*) {
  auto& core = core_of(request);
  const auto change = [&] {
    Inode& inode = *core.image.find(number);
    if ((what & FUSE_SET_ATTR_MODE) != 0) {
      inode.mode = (inode.mode & S_IFMT) | (wanted->st_mode & ~static_cast<mode_t>(S_IFMT));
    }
    if ((what & FUSE_SET_ATTR_UID) != 0) inode.uid = wanted->st_uid;
    if ((what & FUSE_SET_ATTR_GID) != 0) inode.gid = wanted->st_gid;
    if ((what & FUSE_SET_ATTR_SIZE) != 0) {
      inode.file.resize(static_cast<std::uint64_t>(wanted->st_size));
    }
    touch(inode);
  };
  const auto answer = [&] {
    const auto attributes = core.attributes(number);
    fuse_reply_attr(request, &attributes, kForEver);
  };
  if ((what & FUSE_SET_ATTR_SIZE) != 0) {
    core.operate(request, "truncate of " + std::to_string(number), change, answer);
  } else {
    core.look(request, [&] {
      change();
      answer();
    });
  }
}

// Answers with the new entry, or the error.
void answer_entry(FuseServer::Core& core, fuse_req_t request, int error, Ino made) {
  if (error != 0) {
    fuse_reply_err(request, error);
    return;
  }
  const auto entry = core.entry(made);
  fuse_reply_entry(request, &entry);
}

void mkdir(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode) {
  auto& core = core_of(request);
  const auto* who = fuse_req_ctx(request);
  int error = 0;
  Ino made = 0;
  core.operate(
      request, std::string("mkdir ") + name,
      [&] { error = core.image.make(parent, name, S_IFDIR | mode, who->uid, who->gid, made); },
      [&] { answer_entry(core, request, error, made); });
}

void symlink(fuse_req_t request, const char* target, fuse_ino_t parent, const char* name) {
  auto& core = core_of(request);
  const auto* who = fuse_req_ctx(request);
  int error = 0;
  Ino made = 0;
  core.operate(
      request, std::string("symlink ") + name,
      [&] {
        error = core.image.make(parent, name, S_IFLNK | 0777, who->uid, who->gid, made);
        if (error == 0) core.image.find(made)->target = target;
      },
      [&] { answer_entry(core, request, error, made); });
}

void readlink(fuse_req_t request, fuse_ino_t number) {
  auto& core = core_of(request);
  core.look(request,
            [&] { fuse_reply_readlink(request, core.image.find(number)->target.c_str()); });
}

void link(fuse_req_t request, fuse_ino_t number, fuse_ino_t parent, const char* name) {
  auto& core = core_of(request);
  int error = 0;
  core.operate(
      request, std::string("link ") + name, [&] { error = core.image.link(number, parent, name); },
      [&] { answer_entry(core, request, error, number); });
}

void remove(fuse_req_t request, fuse_ino_t parent, const char* name, bool is_folder) {
  auto& core = core_of(request);
  int error = 0;
  core.operate(
      request, std::string("removal of ") + name,
      [&] { error = core.image.remove(parent, name, is_folder); },
      [&] { fuse_reply_err(request, error); });
}
void unlink(fuse_req_t request, fuse_ino_t parent, const char* name) {
  remove(request, parent, name, false);
}
void rmdir(fuse_req_t request, fuse_ino_t parent, const char* name) {
  remove(request, parent, name, true);
}

void rename(fuse_req_t request, fuse_ino_t parent, const char* name, fuse_ino_t to,
            const char* new_name, unsigned flags) {
  auto& core = core_of(request);
  if ((flags & ~static_cast<unsigned>(RENAME_NOREPLACE)) != 0) {
    fuse_reply_err(request, EINVAL);
    return;
  }
  int error = 0;
  core.operate(
      request, std::string("rename of ") + name,
      [&] { error = core.image.rename(parent, name, to, new_name, flags == 0); },
      [&] { fuse_reply_err(request, error); });
}

void create(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode,
            fuse_file_info* file) {
  auto& core = core_of(request);
  const auto* who = fuse_req_ctx(request);
  int error = 0;
  Ino made = 0;
  core.operate(
      request, std::string("creation of ") + name,
      [&] { error = core.image.make(parent, name, S_IFREG | mode, who->uid, who->gid, made); },
      [&] {
        if (error != 0) {
          fuse_reply_err(request, error);
          return;
        }
        file->fh = core.open_handle(made);
        file->keep_cache = 1;
        const auto entry = core.entry(made);
        fuse_reply_create(request, &entry, file);
      });
}

void open(fuse_req_t request, fuse_ino_t number, fuse_file_info* file) {
  auto& core = core_of(request);
  core.look(request, [&] {
    file->fh = core.open_handle(number);
    file->keep_cache = 1;
    fuse_reply_open(request, file);
  });
}

void release(fuse_req_t request, fuse_ino_t, fuse_file_info* file) {
  auto& core = core_of(request);
  core.look(request, [&] {
    core.handles.erase(file->fh);
    fuse_reply_err(request, 0);
  });
}

void read(fuse_req_t request, fuse_ino_t number, std::size_t size, off_t offset, fuse_file_info*) {
  auto& core = core_of(request);
  core.look(request, [&] {
    const Bytes bytes =
        core.image.find(number)->file.read(static_cast<std::uint64_t>(offset), size);
    fuse_reply_buf(request, bytes.data(), bytes.size());
  });
}

void write(fuse_req_t request, fuse_ino_t number, const char* bytes, std::size_t size, off_t offset,
           fuse_file_info* info) {
  auto& core = core_of(request);
  const auto at = static_cast<std::uint64_t>(offset);
  core.operate(
      request,
      "write of " + std::to_string(size) + " bytes to " + std::to_string(number) + " at " +
          std::to_string(at),
      [&] {
        Inode& inode = *core.image.find(number);
        inode.file.write(at, BytesView(bytes, size));
        touch(inode);
        if ((info->flags & O_DSYNC) != 0) {
          inode.file.sync_range(at, size);
          core.handles[info->fh].owed[thread_of(request)] = true;
        }
      },
      [&] { fuse_reply_write(request, size); });
}

void flush(fuse_req_t request, fuse_ino_t, fuse_file_info*) {
  // Of a close, not of a disk; the kernel asks no more.
  core_of(request).look(request, [&] { fuse_reply_err(request, ENOSYS); });
}

void fsync(fuse_req_t request, fuse_ino_t number, int, fuse_file_info* file) {
  auto& core = core_of(request);
  int error = 0;
  core.operate(
      request, "flush of " + std::to_string(number),
      [&] { error = core.flush_file(number, file->fh, thread_of(request)); },
      [&] { fuse_reply_err(request, error); });
}

void fallocate(fuse_req_t request, fuse_ino_t number, int mode, off_t offset, off_t length,
               fuse_file_info*) {
  auto& core = core_of(request);
  if ((mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) != 0) {
    fuse_reply_err(request, EOPNOTSUPP);
    return;
  }
  const auto at = static_cast<std::uint64_t>(offset);
  const auto size = static_cast<std::uint64_t>(length);
  core.operate(
      request, "fallocate of " + std::to_string(number),
      [&] {
        FileImage& image = core.image.find(number)->file;
        if ((mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) != 0) image.punch(at, size);
        if ((mode & FALLOC_FL_KEEP_SIZE) == 0 && at + size > image.size()) image.resize(at + size);
      },
      [&] { fuse_reply_err(request, 0); });
}

void opendir(fuse_req_t request, fuse_ino_t, fuse_file_info* file) {
  core_of(request).look(request, [&] { fuse_reply_open(request, file); });
}

void readdir(fuse_req_t request, fuse_ino_t number, std::size_t size, off_t offset,
             fuse_file_info*) {
  auto& core = core_of(request);
  core.look(request, [&] {
    std::vector<std::pair<std::string, Ino>> all = {{".", number}, {"..", kRoot}};
    const Inode* folder = core.image.find(number);
    all.insert(all.end(), folder->names.begin(), folder->names.end());
    std::string answer;
    for (auto i = static_cast<std::size_t>(offset); i < all.size(); ++i) {
      const auto attributes = core.attributes(all[i].second);
      const auto room = fuse_add_direntry(request, nullptr, 0, all[i].first.c_str(), nullptr, 0);
      if (answer.size() + room > size) break;
      const auto begin = answer.size();
      answer.resize(begin + room);
      fuse_add_direntry(request, answer.data() + begin, room, all[i].first.c_str(), &attributes,
                        static_cast<off_t>(i) + 1);
    }
    fuse_reply_buf(request, answer.data(), answer.size());
  });
}

void releasedir(fuse_req_t request, fuse_ino_t, fuse_file_info*) {
  core_of(request).look(request, [&] { fuse_reply_err(request, 0); });
}

void fsyncdir(fuse_req_t request, fuse_ino_t number, int, fuse_file_info*) {
  auto& core = core_of(request);
  core.operate(
      request, "flush of folder " + std::to_string(number),
      [&] {
        ++core.statistics.flushes;
        core.image.sync_folder(number);
      },
      [&] { fuse_reply_err(request, 0); });
}

void statfs(fuse_req_t request, fuse_ino_t) {
  struct statvfs room {};
  room.f_bsize = room.f_frsize = kPageBytes;
  room.f_blocks = room.f_bfree = room.f_bavail = std::uint64_t{1} << 20;
  room.f_files = room.f_ffree = std::uint64_t{1} << 20;
  room.f_namemax = 255;
  core_of(request).look(request, [&] { fuse_reply_statfs(request, &room); });
}

}  // namespace

const fuse_lowlevel_ops& fuse_operations() {
  static const fuse_lowlevel_ops operations = [] {
    fuse_lowlevel_ops table{};
    table.init = init;
    table.lookup = lookup;
    table.getattr = getattr;
    table.setattr = setattr;
    table.mkdir = mkdir;
    table.symlink = symlink;
    table.readlink = readlink;
    table.link = link;
    table.unlink = unlink;
    table.rmdir = rmdir;
    table.rename = rename;
    table.create = create;
    table.open = open;
    table.release = release;
    table.read = read;
    table.write = write;
    table.flush = flush;
    table.fsync = fsync;
    table.fallocate = fallocate;
    table.opendir = opendir;
    table.readdir = readdir;
    table.releasedir = releasedir;
    table.fsyncdir = fsyncdir;
    table.statfs = statfs;
    return table;
  }();
  return operations;
}

}  // namespace semper::testing
