#include "semper/testing/simulated_disk.h"

#include <algorithm>
#include <atomic>
#include <list>
#include <utility>

#include "semper/base/assert.h"
#include "semper/env/cancellation.h"
#include "semper/env/gate.h"
#include "testing/simulated_disk_state.h"

namespace semper::testing {

class SimulatedDisk::Handle final : public BlockDevice {
 public:
  Handle(std::shared_ptr<SimulatedDiskState> disk, SimulatedHandleOptions options)
      : disk_(std::move(disk)),
        options_(std::move(options)),
        size_(disk_->size),
        power_cycle_(disk_->power_cycles),
        failures_seen_(disk_->failed_flushes),
        companion_(disk_->companion, options_.name),
        gate_(options_.name) {}

  // What is under way ends here, as on a real device: with `closed`, for nobody can let time pass
  // meanwhile. Precondition: it is awaited on no loop that is still there and does not run.
  ~Handle() override {
    closed_.store(true);
    ends_.store(true);
    companion_.close();
    std::list<OneShot<std::monostate>> waiting;
    {
      std::lock_guard lock(disk_->mutex);
      waiting = waiting_;
    }
    for (auto& one : waiting) one.set({});
  }

  std::string_view name() const noexcept override { return options_.name; }
  std::uint64_t size() const noexcept override { return size_; }
  std::uint32_t sector_size() const noexcept override { return disk_->options.sector_size; }
  bool is_read_only() const noexcept override { return options_.read_only; }
  std::string description() const override { return "simulated"; }
  DeviceCompanion* companion() noexcept override { return &companion_; }

  Async<void> read(std::uint64_t offset, ReadParts parts) override;
  Async<void> write(std::uint64_t offset, WriteParts parts) override;
  Async<void> flush() override;
  Async<void> write_and_flush(std::uint64_t offset, WriteParts parts) override {
    assert_access(offset, parts);
    return run_through(do_write_and_flush(offset, std::move(parts)));
  }

  Async<void> close() override {
    closed_.store(true);
    companion_.close();
    co_await gate_.close();
    co_return Status{};
  }

 private:
  Error error(ErrorKind kind, const std::string& what) const {
    return Error(kind, options_.name + ": " + what);
  }

  // With the lock.
  Status check(std::uint64_t offset, std::uint64_t end) const {
    if (failed_) return fail(*failed_);
    if (power_cycle_ != disk_->power_cycles) {
      return fail(error(ErrorKind::io, "the power was lost; open it again"));
    }
    if (disk_->unplugged) return fail(error(ErrorKind::io, "the device is gone (unplugged)"));
    if (end > disk_->size && end > offset) {
      return fail(error(ErrorKind::io, "the device ends at byte " + std::to_string(disk_->size) +
                                           " now, it had " + std::to_string(size_) +
                                           " when it was opened; open it again"));
    }
    return {};
  }

  // What write() and flush() do once they are inside; close() waits for both together.
  Async<void> do_write_and_flush(std::uint64_t offset, WriteParts parts);
  Async<void> do_write(std::uint64_t offset, WriteParts parts);
  Async<void> do_flush();

  Result<Gate::Holder> enter() {
    if (closed_.load()) return fail(error(ErrorKind::closed, "was closed; open it again"));
    return gate_.enter();
  }

  // Waits as long as the faults say; then the power must still be there.
  Async<void> take_time(bool is_stuck) {
    OneShot<std::monostate> released;
    Duration delay{0};
    {
      std::lock_guard lock(disk_->mutex);
      if (is_stuck) {
        disk_->stuck.push_back(released);
        disk_->note("stuck");
      } else if (disk_->by_chance(disk_->options.faults.delay, "delay")) {
        const auto most = static_cast<std::uint64_t>(disk_->options.faults.delay_by.count());
        delay = Duration(static_cast<std::int64_t>(disk_->env.random->below(most + 1)));
      }
    }
    {
      const Waiting waiting(*this, released);
      if (is_stuck) {
        SEMPER_CO_TRY_STATUS(co_await released.wait_regardless());
      }
      if (delay > Duration{0}) {
        Clock& clock = *disk_->env.clock;
        static_cast<void>(co_await released.wait_regardless_until(clock, clock.after(delay)));
      }
    }
    if (ends_.load()) co_return fail(error(ErrorKind::closed, "was closed; open it again"));
    std::lock_guard lock(disk_->mutex);
    co_return check(0, 0);
  }

  // A place among those whose operation is under way.
  class Waiting {
   public:
    Waiting(Handle& handle, const OneShot<std::monostate>& event) : handle_(handle) {
      std::lock_guard lock(handle_.disk_->mutex);
      place_ = handle_.waiting_.insert(handle_.waiting_.end(), event);
    }
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;
    ~Waiting() {
      std::lock_guard lock(handle_.disk_->mutex);
      handle_.waiting_.erase(place_);
    }

   private:
    Handle& handle_;
    std::list<OneShot<std::monostate>>::iterator place_;
  };

  const std::shared_ptr<SimulatedDiskState> disk_;
  const SimulatedHandleOptions options_;
  const std::uint64_t size_;
  const std::uint64_t power_cycle_;
  const std::uint64_t failures_seen_;
  LocalCompanion companion_;
  std::atomic<bool> closed_ = false;
  std::atomic<bool> ends_ = false;              // the handle is being destroyed
  std::list<OneShot<std::monostate>> waiting_;  // with the lock of the disk
  std::optional<Error> failed_;  // with the lock of the disk
  Gate gate_;
};

namespace {

std::uint64_t end_of(std::uint64_t offset, const auto& parts) {
  for (const auto& part : parts) offset += part.size();
  return offset;
}

template <class Fault>
std::optional<Fault> take_fault(std::map<std::uint64_t, Fault>& faults, std::uint64_t number) {
  const auto found = faults.find(number);
  if (found == faults.end()) return std::nullopt;
  const Fault fault = found->second;
  faults.erase(found);
  return fault;
}

}  // namespace

Async<void> SimulatedDisk::Handle::read(std::uint64_t offset, ReadParts parts) {
  assert_access(offset, parts);
  SEMPER_CO_TRY(const auto inside, enter());
  std::optional<ReadFault> fault;
  {
    std::lock_guard lock(disk_->mutex);
    SEMPER_CO_TRY_STATUS(check(offset, end_of(offset, parts)));
    fault = take_fault(disk_->read_faults, ++disk_->reads);
    if (!fault && disk_->by_chance(disk_->options.faults.read_error, "read_error")) {
      fault = ReadFault::io_error;
    }
  }
  SEMPER_CO_TRY_STATUS(co_await take_time(fault == ReadFault::stuck));
  if (fault == ReadFault::io_error) co_return fail(error(ErrorKind::io, "a read failed"));
  std::lock_guard lock(disk_->mutex);
  for (auto part : parts) {
    disk_->read(offset, part);
    offset += part.size();
  }
  co_return Status{};
}

Async<void> SimulatedDisk::Handle::write(std::uint64_t offset, WriteParts parts) {
  assert_access(offset, parts);
  SEMPER_CO_TRY(const auto inside, enter());
  co_return co_await do_write(offset, std::move(parts));
}

Async<void> SimulatedDisk::Handle::flush() {
  SEMPER_CO_TRY(const auto inside, enter());
  co_return co_await do_flush();
}

Async<void> SimulatedDisk::Handle::do_write_and_flush(std::uint64_t offset, WriteParts parts) {
  SEMPER_CO_TRY(const auto inside, enter());
  SEMPER_CO_TRY_STATUS(co_await do_write(offset, std::move(parts)));
  co_return co_await do_flush();
}

Async<void> SimulatedDisk::Handle::do_write(std::uint64_t offset, WriteParts parts) {
  if (options_.read_only) co_return fail(error(ErrorKind::permission, "was opened read-only"));
  std::optional<WriteFault> fault;
  std::uint64_t number = 0;
  {
    std::lock_guard lock(disk_->mutex);
    SEMPER_CO_TRY_STATUS(check(offset, end_of(offset, parts)));
    const auto& faults = disk_->options.faults;
    fault = take_fault(disk_->write_faults, disk_->writes + 1);
    if (fault) disk_->note("scripted_write_fault");
    if (!fault && disk_->by_chance(faults.write_error, "write_error")) fault = WriteFault::io_error;
    if (!fault && disk_->by_chance(faults.write_no_room, "write_no_room")) {
      fault = WriteFault::no_room;
    }
    if (!fault && disk_->by_chance(faults.misdirected_write, "misdirected_write")) {
      fault = WriteFault::misdirected;
    }
    const bool fails = fault == WriteFault::io_error || fault == WriteFault::no_room;
    number = disk_->start_write(offset, parts, fails ? 0.5 : 1.0, fault == WriteFault::misdirected);
  }
  SEMPER_CO_TRY_STATUS(co_await take_time(fault == WriteFault::stuck));
  std::lock_guard lock(disk_->mutex);
  disk_->complete_write(number);
  if (fault == WriteFault::io_error) co_return fail(error(ErrorKind::io, "a write failed"));
  if (fault == WriteFault::no_room) {
    co_return fail(error(ErrorKind::exhausted, "no room is left below the device"));
  }
  co_return Status{};
}

Async<void> SimulatedDisk::Handle::do_flush() {
  std::optional<FlushFault> fault;
  std::vector<std::uint64_t> to_sync;
  {
    std::lock_guard lock(disk_->mutex);
    SEMPER_CO_TRY_STATUS(check(0, 0));
    fault = take_fault(disk_->flush_faults, ++disk_->flushes);
    if (fault) disk_->note("scripted_flush_fault");
    const auto& faults = disk_->options.faults;
    if (!fault && disk_->by_chance(faults.flush_error, "flush_error")) fault = FlushFault::io_error;
    if (!fault && disk_->by_chance(faults.lying_flush, "lying_flush")) fault = FlushFault::lies;
    to_sync = disk_->completed_writes();
  }
  SEMPER_CO_TRY_STATUS(co_await take_time(fault == FlushFault::stuck));
  std::lock_guard lock(disk_->mutex);
  // As Linux does: whoever has the device open hears of a failure once, whichever handle's flush it
  // was.
  if (fault == FlushFault::io_error) disk_->give_up_unsynced();
  if (disk_->failed_flushes != failures_seen_) {
    failed_ = error(ErrorKind::io,
                    "a flush failed: what was written before it may be lost, and the handle takes "
                    "nothing more; find out why, open it again, recover");
    co_return fail(*failed_);
  }
  if (fault != FlushFault::lies) disk_->sync(to_sync);
  if (disk_->options.faults.bit_rot > 0 &&
      disk_->env.random->chance(disk_->options.faults.bit_rot)) {
    disk_->rot_somewhere();
  }
  co_return Status{};
}

SimulatedDisk::SimulatedDisk(SimulatedDiskOptions options, Env env)
    : state_(std::make_shared<SimulatedDiskState>(options, env, env.random->next())) {}

Result<std::unique_ptr<BlockDevice>> SimulatedDisk::try_open(SimulatedHandleOptions options) const {
  std::lock_guard lock(state_->mutex);
  if (state_->unplugged) {
    return fail(ErrorKind::not_found, options.name + ": there is no such device (unplugged)");
  }
  return std::make_unique<Handle>(state_, std::move(options));
}

std::unique_ptr<BlockDevice> SimulatedDisk::open(SimulatedHandleOptions options) const {
  auto opened = try_open(std::move(options));
  SEMPER_ASSERT(opened, "a disk that is unplugged is opened by try_open");
  return std::move(*opened);
}

void SimulatedDisk::set_faults(DiskFaults faults) {
  std::lock_guard lock(state_->mutex);
  state_->options.faults = faults;
}

void SimulatedDisk::fail_read(std::uint64_t nth, ReadFault fault) {
  std::lock_guard lock(state_->mutex);
  state_->read_faults[state_->reads + nth] = fault;
}

void SimulatedDisk::fail_write(std::uint64_t nth, WriteFault fault) {
  std::lock_guard lock(state_->mutex);
  state_->write_faults[state_->writes + nth] = fault;
}

void SimulatedDisk::fail_flush(std::uint64_t nth, FlushFault fault) {
  std::lock_guard lock(state_->mutex);
  state_->flush_faults[state_->flushes + nth] = fault;
}

void SimulatedDisk::release() {
  std::vector<OneShot<std::monostate>> stuck;
  {
    std::lock_guard lock(state_->mutex);
    stuck.swap(state_->stuck);
  }
  for (auto& one : stuck) one.set({});
}

void SimulatedDisk::flip_bit(std::uint64_t sector, std::uint64_t bit) {
  std::lock_guard lock(state_->mutex);
  SEMPER_ASSERT(bit < std::uint64_t{8} * state_->options.sector_size, "a bit of the sector");
  state_->flip(sector, bit);
}

void SimulatedDisk::unplug() {
  {
    std::lock_guard lock(state_->mutex);
    state_->unplugged = true;
  }
  release();
}

void SimulatedDisk::plug_in() {
  power_cycle();
  std::lock_guard lock(state_->mutex);
  state_->unplugged = false;
}

void SimulatedDisk::resize(std::uint64_t size) {
  std::lock_guard lock(state_->mutex);
  SEMPER_ASSERT(size % state_->options.sector_size == 0, "a disk is made of whole sectors");
  state_->size = size;
}

std::size_t SimulatedDisk::interval() const {
  std::lock_guard lock(state_->mutex);
  return state_->intervals;
}

std::vector<SectorWrite> SimulatedDisk::unsynced(std::size_t interval) const {
  std::lock_guard lock(state_->mutex);
  if (interval == state_->intervals) return state_->unsynced_now();
  SEMPER_ASSERT(interval < state_->history.size(), "earlier intervals are there with keep_history");
  return state_->history[interval].unsynced;
}

std::uint64_t SimulatedDisk::crash_count(std::size_t interval) const {
  const auto count = unsynced(interval).size();
  return count < 64 ? std::uint64_t{1} << count : ~std::uint64_t{0};
}

SimulatedDisk SimulatedDisk::crash_image(std::size_t interval, std::uint64_t kept) const {
  std::vector<SectorFate> fates(std::min<std::size_t>(unsynced(interval).size(), 64),
                                SectorFate::dropped);
  for (std::size_t i = 0; i < fates.size(); ++i) {
    if ((kept >> i & 1) != 0) fates[i] = SectorFate::kept;
  }
  return crash_image(interval, fates);
}

SimulatedDisk SimulatedDisk::crash_image(std::size_t interval,
                                         const std::vector<SectorFate>& fates) const {
  const auto writes = unsynced(interval);
  std::lock_guard lock(state_->mutex);
  auto options = state_->options;
  options.size = state_->size;
  options.faults = {};
  auto copy = std::make_shared<SimulatedDiskState>(options, state_->env, state_->garbage_seed);
  copy->durable =
      interval == state_->intervals ? state_->durable : state_->history[interval].durable;
  state_->settle(copy->durable, writes, fates);
  copy->visible = copy->durable;
  copy->interval_began = copy->durable;
  return SimulatedDisk(std::move(copy));
}

void SimulatedDisk::power_cycle() {
  {
    std::lock_guard lock(state_->mutex);
    state_->crash(state_->draw_fates());
  }
  release();
}

void SimulatedDisk::power_cycle(const std::vector<SectorFate>& fates) {
  {
    std::lock_guard lock(state_->mutex);
    state_->crash(fates);
  }
  release();
}

Bytes SimulatedDisk::contents(std::uint64_t offset, std::size_t length) const {
  std::lock_guard lock(state_->mutex);
  SEMPER_ASSERT(offset <= state_->size && length <= state_->size - offset, "inside the disk");
  Bytes bytes(length, '\0');
  state_->read(offset, std::as_writable_bytes(std::span(bytes)));
  return bytes;
}

void SimulatedDisk::overwrite(std::uint64_t offset, BytesView bytes) {
  std::lock_guard lock(state_->mutex);
  SEMPER_ASSERT(offset <= state_->size && bytes.size() <= state_->size - offset, "inside the disk");
  const std::size_t unit = state_->options.sector_size;
  while (!bytes.empty()) {
    const std::size_t inside = offset % unit;
    const std::size_t length = std::min(bytes.size(), unit - inside);
    for (auto* sectors : {&state_->durable, &state_->visible, &state_->interval_began}) {
      if (sectors == &state_->interval_began && !state_->options.keep_history) continue;
      Bytes content = *state_->sector(*sectors, offset / unit);
      content.replace(inside, length, bytes.substr(0, length));
      (*sectors)[offset / unit] = std::make_shared<const Bytes>(std::move(content));
    }
    bytes.remove_prefix(length);
    offset += length;
  }
}

std::uint64_t SimulatedDisk::size() const {
  std::lock_guard lock(state_->mutex);
  return state_->size;
}

std::uint32_t SimulatedDisk::sector_size() const {
  return state_->options.sector_size;
}

std::uint64_t SimulatedDisk::reads() const {
  std::lock_guard lock(state_->mutex);
  return state_->reads;
}

std::uint64_t SimulatedDisk::writes() const {
  std::lock_guard lock(state_->mutex);
  return state_->writes;
}

std::uint64_t SimulatedDisk::flushes() const {
  std::lock_guard lock(state_->mutex);
  return state_->flushes;
}

std::map<std::string, std::uint64_t> SimulatedDisk::happened() const {
  std::lock_guard lock(state_->mutex);
  return state_->happened;
}

}  // namespace semper::testing
