// DiskImage: a tree of folders and files twice, as programs see it and as the disk has it.
//
// Names are what a folder holds; a folder has to be flushed for its names to be durable, which is
// what POSIX leaves of it. What becomes of names at a power cut is one of two worlds:
//   posix      a flush of a file says nothing about its name; each change of a name since the
//              folder's flush is there or not, whatever came before it
//   journaled  changes of names are there up to some point, in their order, and a flush of a file
//              brings all earlier ones along: what ext4 and XFS do, and programs have come to rely
//              on
// A rename is there or not, never half. A file that has no durable name is gone.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <ctime>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "file_image.h"

namespace semper::testing {

using Ino = std::uint64_t;
inline constexpr Ino kRoot = 1;

enum class Names : std::uint8_t { posix, journaled };

struct Inode {
  mode_t mode = 0;  // with its type
  uid_t uid = 0;
  gid_t gid = 0;
  std::uint32_t links = 0;
  timespec changed{};
  FileImage file;
  std::string target;  // of a symbolic link
  // Of a folder.
  std::map<std::string, Ino> names;
  std::map<std::string, Ino> disk_names;
};

class DiskImage {
 public:
  explicit DiskImage(Names names);

  Names names() const { return names_; }
  Inode* find(Ino number);
  std::optional<Ino> look_up(Ino folder, const std::string& name);

  // One of its names, for people; empty: it has none.
  std::string name_of(Ino number) const;

  // Each returns 0, or a number of errno.
  int make(Ino folder, const std::string& name, mode_t mode, uid_t uid, gid_t gid, Ino& made);
  int link(Ino number, Ino folder, const std::string& name);
  int remove(Ino folder, const std::string& name, bool is_folder);
  int rename(Ino folder, const std::string& name, Ino to, const std::string& new_name,
             bool may_replace);

  void sync_file(Ino number);
  void sync_folder(Ino number);

  void cut(Random& random, const CutTemper& temper);

 private:
  struct NameChange {
    enum class Kind : std::uint8_t { link, unlink, rename } kind;
    Ino inode = 0;
    Ino folder = 0;
    std::string name;
    Ino to = 0;  // of a rename
    std::string new_name;
    bool touches(Ino number) const { return folder == number || to == number; }
  };
  void carry_out(const NameChange& change);
  void drop_the_nameless();

  Names names_;
  std::map<Ino, Inode> inodes_;
  std::vector<NameChange> log_;
  Ino next_ = kRoot + 1;
};

}  // namespace semper::testing
