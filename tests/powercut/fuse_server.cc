#include "fuse_server.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <utility>

#include "fuse_core.h"

namespace semper::testing {
namespace {

std::string thread_name(std::uint64_t thread) {
  std::string name;
  std::getline(std::ifstream("/proc/" + std::to_string(thread) + "/comm"), name);
  return name;
}

// They flush what they were given before anybody could know of the failure (io_uring), or for
// others (loop devices).
bool is_kernel_worker(std::uint64_t thread) {
  const std::string name = thread_name(thread);
  return name.starts_with("iou-") || name.starts_with("kworker");
}

// Until the kernel hangs up, or `core.stop` says so.
void serve(FuseServer::Core& core) {
  fuse_buf buffer{};
  const int descriptor = fuse_session_fd(core.session);
  while (fuse_session_exited(core.session) == 0) {
    pollfd sources[] = {{descriptor, POLLIN, 0}, {core.stop, POLLIN, 0}};
    if (::poll(sources, 2, -1) < 0 && errno != EINTR) break;
    if (sources[1].revents != 0) break;
    const int got = fuse_session_receive_buf(core.session, &buffer);
    if (got == -EINTR || got == -EAGAIN) continue;
    if (got <= 0) break;
    fuse_session_process_buf(core.session, &buffer);
  }
  std::free(buffer.mem);
}

}  // namespace

FuseServer::Core::Core(std::string place, Names names, std::uint64_t seed,
                       std::function<void(const std::string&)> tell)
    : mount_point(std::move(place)), on_cut(std::move(tell)), image(names), random(seed) {}

void FuseServer::Core::drop(fuse_req_t request, const std::string& what) {
  if (!dark) cut_now(what);
  fuse_reply_none(request);  // frees it, and answers nothing
}

void FuseServer::Core::cut_now(const std::string& what) {
  dark = true;
  image.cut(random, CutTemper::draw(random));
  on_cut(what);
}

int FuseServer::Core::flush_file(Ino number, std::uint64_t handle, std::uint64_t caller) {
  ++statistics.flushes;
  Handle& open = handles[handle];
  if (open.owed[caller]) {
    // Behind a durable write, whose range is durable already.
    open.owed[caller] = false;
    return 0;
  }
  // A store that is being made has another name, and is thrown away: SQLite rolls back in it.
  const bool is_unfinished = image.name_of(number).find("-semper-new") != std::string::npos;
  if (open.told_thread == caller && !is_unfinished && !is_kernel_worker(caller)) {
    ++statistics.repeated_flushes;
    std::cerr << "a flush of file " << number << " (" << image.name_of(number)
              << ") that had failed was asked for again by thread " << thread_name(caller)
              << std::endl;
  }
  if (++flushes == plan.fail_flush) {
    image.find(number)->file.sync_failed(random);
    ++errors[number];
  } else {
    image.sync_file(number);
  }
  if (open.errors_seen == errors[number]) return 0;
  open.errors_seen = errors[number];
  open.told_thread = caller;
  ++statistics.failed_flushes;
  return EIO;
}

std::uint64_t FuseServer::Core::open_handle(Ino number) {
  handles[next_handle] = Handle{number, errors[number], 0, {}};
  return next_handle++;
}

struct stat FuseServer::Core::attributes(Ino number) {
  struct stat result {};
  const Inode* inode = image.find(number);
  if (inode == nullptr) return result;
  result.st_ino = number;
  result.st_mode = inode->mode;
  result.st_nlink = inode->links;
  result.st_uid = inode->uid;
  result.st_gid = inode->gid;
  result.st_size =
      static_cast<off_t>(S_ISLNK(inode->mode) ? inode->target.size() : inode->file.size());
  result.st_blksize = kPageBytes;
  result.st_blocks = (result.st_size + 511) / 512;
  result.st_mtim = result.st_ctim = result.st_atim = inode->changed;
  return result;
}

fuse_entry_param FuseServer::Core::entry(Ino number) {
  fuse_entry_param result{};
  result.ino = number;
  result.generation = 1;
  result.attr = attributes(number);
  result.attr_timeout = result.entry_timeout = kForEver;
  return result;
}

FuseServer::FuseServer(std::string mount_point, Names names, std::uint64_t seed,
                       std::function<void(const std::string&)> on_cut)
    : core_(std::make_unique<Core>(std::move(mount_point), names, seed, std::move(on_cut))) {}

FuseServer::~FuseServer() {
  unmount();
}

Status FuseServer::mount() {
  fuse_args arguments = FUSE_ARGS_INIT(0, nullptr);
  fuse_opt_add_arg(&arguments, "powercut");
  fuse_opt_add_arg(&arguments, "-odefault_permissions,fsname=powercut");
  core_->session =
      fuse_session_new(&arguments, &fuse_operations(), sizeof(fuse_lowlevel_ops), core_.get());
  fuse_opt_free_args(&arguments);
  if (core_->session == nullptr) return fail(ErrorKind::internal, "libfuse made no session");
  if (fuse_session_mount(core_->session, core_->mount_point.c_str()) != 0) {
    fuse_session_destroy(core_->session);
    core_->session = nullptr;
    return fail(ErrorKind::unsupported, "cannot mount at " + core_->mount_point);
  }
  const int descriptor = fuse_session_fd(core_->session);
  ::fcntl(descriptor, F_SETFL, ::fcntl(descriptor, F_GETFL) | O_NONBLOCK);
  core_->dark = false;
  core_->plan = {};
  core_->handles.clear();
  core_->errors.clear();
  core_->stop = ::eventfd(0, EFD_CLOEXEC);
  core_->thread = std::thread([core = core_.get()] { serve(*core); });
  return {};
}

void FuseServer::unmount() {
  if (core_->session == nullptr) return;
  ::eventfd_write(core_->stop, 1);
  core_->thread.join();
  // Closes the connection, which ends every request that waits, before it takes the mount away.
  fuse_session_unmount(core_->session);
  fuse_session_destroy(core_->session);
  core_->session = nullptr;
  ::close(core_->stop);
}

void FuseServer::arm(const FaultPlan& plan) {
  std::lock_guard lock(core_->mutex);
  core_->plan = plan;
  core_->counted = core_->flushes = 0;
}

void FuseServer::cut() {
  std::lock_guard lock(core_->mutex);
  if (!core_->dark) core_->cut_now("by command");
}

ServerStatistics FuseServer::statistics() const {
  std::lock_guard lock(core_->mutex);
  return core_->statistics;
}

}  // namespace semper::testing
