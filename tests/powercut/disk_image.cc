#include "disk_image.h"

#include <sys/stat.h>

#include <cerrno>
#include <set>
#include <utility>

namespace semper::testing {
namespace {

timespec present_time() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return now;
}

}  // namespace

DiskImage::DiskImage(Names names) : names_(names) {
  Inode& root = inodes_[kRoot];
  root.mode = S_IFDIR | 0755;
  root.links = 2;
  root.changed = present_time();
}

Inode* DiskImage::find(Ino number) {
  const auto found = inodes_.find(number);
  return found == inodes_.end() ? nullptr : &found->second;
}

std::optional<Ino> DiskImage::look_up(Ino folder, const std::string& name) {
  const Inode* place = find(folder);
  if (place == nullptr) return std::nullopt;
  const auto found = place->names.find(name);
  if (found == place->names.end()) return std::nullopt;
  return found->second;
}

std::string DiskImage::name_of(Ino number) const {
  for (const auto& [folder, inode] : inodes_) {
    for (const auto& [name, child] : inode.names) {
      if (child == number) return name;
    }
  }
  return "";
}

int DiskImage::make(Ino folder, const std::string& name, mode_t mode, uid_t uid, gid_t gid,
                    Ino& made) {
  Inode* place = find(folder);
  if (place == nullptr) return ENOENT;
  if (place->names.contains(name)) return EEXIST;
  made = next_++;
  Inode& inode = inodes_[made];
  inode.mode = mode;
  inode.uid = uid;
  inode.gid = gid;
  inode.links = S_ISDIR(mode) ? 2 : 1;
  inode.changed = present_time();
  place->names[name] = made;
  log_.push_back({NameChange::Kind::link, made, folder, name, 0, ""});
  return 0;
}

int DiskImage::link(Ino number, Ino folder, const std::string& name) {
  Inode* inode = find(number);
  Inode* place = find(folder);
  if (inode == nullptr || place == nullptr) return ENOENT;
  if (place->names.contains(name)) return EEXIST;
  place->names[name] = number;
  ++inode->links;
  log_.push_back({NameChange::Kind::link, number, folder, name, 0, ""});
  return 0;
}

int DiskImage::remove(Ino folder, const std::string& name, bool is_folder) {
  const auto found = look_up(folder, name);
  if (!found) return ENOENT;
  Inode& inode = inodes_[*found];
  if (is_folder != S_ISDIR(inode.mode)) return is_folder ? ENOTDIR : EISDIR;
  if (is_folder && !inode.names.empty()) return ENOTEMPTY;
  inode.links = is_folder ? 0 : inode.links - 1;
  inodes_[folder].names.erase(name);
  log_.push_back({NameChange::Kind::unlink, *found, folder, name, 0, ""});
  return 0;
}

int DiskImage::rename(Ino folder, const std::string& name, Ino to, const std::string& new_name,
                      bool may_replace) {
  const auto found = look_up(folder, name);
  if (!found || find(to) == nullptr) return ENOENT;
  const auto replaced = look_up(to, new_name);
  if (replaced == found) return 0;
  if (replaced && !may_replace) return EEXIST;
  if (replaced) {
    Inode& old = inodes_[*replaced];
    if (S_ISDIR(old.mode) != S_ISDIR(inodes_[*found].mode)) return EISDIR;
    if (!old.names.empty()) return ENOTEMPTY;
    --old.links;
  }
  inodes_[folder].names.erase(name);
  inodes_[to].names[new_name] = *found;
  log_.push_back({NameChange::Kind::rename, *found, folder, name, to, new_name});
  return 0;
}

// On the disk's side. What it builds on may be missing there: then only what is left of it happens.
void DiskImage::carry_out(const NameChange& change) {
  auto& names = inodes_[change.folder].disk_names;
  if (change.kind == NameChange::Kind::link) {
    names[change.name] = change.inode;
    return;
  }
  const auto found = names.find(change.name);
  if (found != names.end() && found->second == change.inode) names.erase(found);
  if (change.kind == NameChange::Kind::rename) {
    inodes_[change.to].disk_names[change.new_name] = change.inode;
  }
}

void DiskImage::sync_file(Ino number) {
  inodes_[number].file.sync();
  if (names_ != Names::journaled) return;
  for (const auto& change : log_) carry_out(change);
  log_.clear();
}

void DiskImage::sync_folder(Ino number) {
  std::vector<NameChange> rest;
  for (auto& change : log_) {
    if (names_ == Names::journaled || change.touches(number)) {
      carry_out(change);
    } else {
      rest.push_back(std::move(change));
    }
  }
  log_ = std::move(rest);
}

void DiskImage::cut(Random& random, const CutTemper& temper) {
  const auto reached =
      random.chance(temper.keeps_name) ? log_.size() : random.below(log_.size() + 1);
  for (std::size_t i = 0; i < log_.size(); ++i) {
    const bool is_there =
        names_ == Names::journaled ? i < reached : random.chance(temper.keeps_name);
    if (is_there) carry_out(log_[i]);
  }
  log_.clear();
  for (auto& [number, inode] : inodes_) {
    inode.names = inode.disk_names;
    inode.file.cut(random, temper);
  }
  drop_the_nameless();
}

void DiskImage::drop_the_nameless() {
  std::map<Ino, std::uint32_t> links;
  std::vector<Ino> open = {kRoot};
  std::set<Ino> reached = {kRoot};
  while (!open.empty()) {
    const Ino number = open.back();
    open.pop_back();
    for (const auto& [name, child] : inodes_[number].names) {
      ++links[child];
      if (reached.insert(child).second) open.push_back(child);
    }
  }
  std::erase_if(inodes_, [&](const auto& each) { return !reached.contains(each.first); });
  for (auto& [number, inode] : inodes_) inode.links = S_ISDIR(inode.mode) ? 2 : links[number];
}

}  // namespace semper::testing
