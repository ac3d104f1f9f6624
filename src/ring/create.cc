// Making a ring, and what has to be asked before.
#include <algorithm>
#include <utility>
#include <vector>

#include "ring/contained.h"
#include "ring/delivery.h"
#include "ring/format.h"
#include "semper/block/device_contents.h"
#include "semper/env/cancellation.h"
#include "semper/ring/ring.h"

namespace semper::ring {
namespace {

using internal::Side;

// Another creation on this machine takes so long at most; what is attached stays longer.
constexpr Duration kCreationGrace = std::chrono::seconds(1);
// As long as a machine may take between reading that there is nothing and writing.
constexpr Duration kOtherMachineGrace = std::chrono::seconds(1);

// How much of the device's beginning an interrupted creation has written.
Async<std::uint64_t> half_made_bytes(BlockDevice& device) {
  const std::uint64_t size = std::min<std::uint64_t>(device.size(), internal::kHalfMadeBytes);
  AlignedBuffer head(static_cast<std::size_t>(size));
  ReadParts parts{head.span()};
  SEMPER_CO_TRY_STATUS(co_await device.read(0, std::move(parts)));
  const bool is_half_made =
      internal::is_half_made_semper(head.view()) || internal::is_half_made_mirage(head.view());
  co_return is_half_made ? size : 0;
}

Error left_of_a_ring(const Error& why) {
  return Error(ErrorKind::corrupt,
               why.message() +
                   "; these are the remains of a ring: copy them, or discard them "
                   "and create a new ring with Overwrite::anything");
}

// True: a ring is there and stays. False: one may be made.
Async<bool> keep_existing(BlockDevice& device, const CreateOptions& options) {
  const bool anything = options.overwrite != Overwrite::blank_only;
  const auto there = co_await internal::open_format(device, options.sector_size);
  if (!there) {
    const ErrorKind kind = there.error().kind();
    if (kind == ErrorKind::not_found || (kind == ErrorKind::corrupt && anything)) co_return false;
    if (kind == ErrorKind::corrupt) co_return fail(left_of_a_ring(there.error()));
    co_return fail(there.error());
  }
  internal::FormatOnDevice& format = **there;
  Status readable;
  const auto producer = co_await format.read_pointer(Side::producer);
  const auto consumer = co_await format.read_pointer(Side::consumer);
  if (!producer) readable = fail(producer.error());
  if (!consumer) readable = fail(consumer.error());
  if (!readable) {
    if (readable.error().kind() != ErrorKind::corrupt) co_return fail(readable.error());
    if (anything) co_return false;
    co_return fail(left_of_a_ring(readable.error()));
  }
  if (options.overwrite == Overwrite::also_a_ring) co_return false;
  if (format.id() != options.format) {
    co_return fail(ErrorKind::already_exists, std::string(device.name()) +
                                                  " holds a ring of the format " +
                                                  std::string(to_string(format.id())));
  }
  if (format.id() == Format::semper_1) {
    SEMPER_CO_TRY_STATUS(co_await internal::repair_semper(device));
  }
  // Success says that it is durable, and its creation may have failed in a flush.
  if (internal::is_unused(*producer, *consumer)) {
    SEMPER_CO_TRY_STATUS(co_await internal::confirm_mark(format, internal::Confirm::all_copies));
  }
  co_return true;
}

// Held while a ring is made: nobody attaches to it, or makes another one, on this machine.
struct Creation {
  std::vector<std::unique_ptr<DeviceCompanion::Role>> roles;
};

Result<Creation> take_roles(DeviceCompanion& companion) {
  Creation creation;
  for (const Side side : {Side::producer, Side::consumer}) {
    SEMPER_TRY(auto role, companion.take(static_cast<std::size_t>(side)));
    creation.roles.push_back(std::move(role));
  }
  for (const std::size_t word :
       {internal::kExposedWord, internal::kConsumedWord, internal::kIdentityWord}) {
    companion.word(word).store(0);  // about what was there before
  }
  return creation;
}

Async<void> check_contents(BlockDevice& device) {
  SEMPER_CO_TRY(const std::string there, co_await contents(device));
  if (there.empty()) co_return Result<void>();
  co_return fail(ErrorKind::permission,
                 std::string(device.name()) + " is no ring and not blank, it holds " + there +
                     "; to lose that, create the ring with Overwrite::anything");
}

Async<void> make(BlockDevice& device, const CreateOptions& options) {
  if (options.format == Format::mirage_1_0) {
    co_return co_await internal::make_mirage(device, options);
  }
  SEMPER_CO_TRY(const std::string identity, co_await internal::make_semper(device, options));
  if (device.companion() != nullptr) co_return Result<void>();
  // Another machine may have made one at the same time: what both have written is looked at when
  // neither writes any more.
  SEMPER_CO_TRY_STATUS(co_await sleep_for(*options.env.clock, kOtherMachineGrace));
  const auto there = co_await internal::open_format(device, options.sector_size);
  bool ours = there && (*there)->identity() == identity;
  for (const Side side : {Side::producer, Side::consumer}) {
    if (ours) ours = (co_await (*there)->read_pointer(side)).has_value();
  }
  if (ours) co_return Result<void>();
  co_return fail(ErrorKind::conflict, std::string(device.name()) +
                                          ": another machine made a ring there at the same time; "
                                          "look with inspect() which one it is, if any");
}

Async<bool> look_if_blank(BlockDevice& device) {
  SEMPER_CO_TRY(const std::uint64_t own, co_await half_made_bytes(device));
  const DeviceContentsOptions options{.ignored_head_bytes = own};
  co_return co_await is_device_blank(device, options);
}

Async<std::string> look_at_contents(BlockDevice& device) {
  SEMPER_CO_TRY(const std::uint64_t own, co_await half_made_bytes(device));
  const DeviceContentsOptions options{.ignored_head_bytes = own};
  co_return co_await device_contents(device, options);
}

// As an outcome that can be handed over.
Async<bool> done(Async<void> work) {
  SEMPER_CO_TRY_STATUS(co_await std::move(work));
  co_return true;
}

Async<void> make_ring(BlockDevice& device, CreateOptions options) {
  if (device.is_read_only()) {
    co_return fail(ErrorKind::permission, std::string(device.name()) + " is open for reading only");
  }
  Clock& clock = *options.env.clock;
  const MonotonicTime deadline = clock.after(kCreationGrace);
  Backoff backoff({.initial = std::chrono::milliseconds(2), .maximum = kCreationGrace / 16},
                  *options.env.random);
  Creation creation;
  for (;;) {
    SEMPER_CO_TRY(const bool kept, co_await keep_existing(device, options));
    if (kept) co_return Result<void>();
    if (device.companion() == nullptr || !creation.roles.empty()) break;
    auto taken = take_roles(*device.companion());
    if (taken) {
      creation = std::move(*taken);  // and once more: it may have been made meanwhile
      continue;
    }
    if (taken.error().kind() != ErrorKind::conflict) co_return fail(taken.error());
    if (clock.now() >= deadline) {
      co_return fail(ErrorKind::conflict,
                     std::string(device.name()) +
                         ": a producer or a consumer is attached to what was a ring there; let it "
                         "detach or end first");
    }
    SEMPER_CO_TRY_STATUS(co_await sleep_for(clock, backoff.next()));
  }
  if (options.overwrite == Overwrite::blank_only) {
    SEMPER_CO_TRY_STATUS(co_await check_contents(device));
  }
  co_return co_await make(device, options);
}

// The roles that it takes are let go whatever becomes of the caller's loop.
Async<void> make_apart(BlockDevice& device, CreateOptions options) {
  Clock& clock = *options.env.clock;
  const std::function<Async<bool>()> work = [&device, options] {
    return done(make_ring(device, options));
  };
  SEMPER_CO_TRY_STATUS(co_await internal::deliver<bool>(clock, work, nullptr));
  co_return Result<void>();
}

}  // namespace

asio::awaitable<Error> internal::say_what_is_there(BlockDevice& device, Error error) {
  if (error.kind() != ErrorKind::not_found) co_return error;
  const auto there = co_await contained(look_at_contents(device));
  if (!there || there->empty()) co_return error;
  co_return Error(error.kind(), error.message() + "; the device holds " + *there +
                                    ", which is not written over unasked");
}

namespace {

Async<std::vector<HeaderDamage>> look_at_headers(BlockDevice& device, std::uint32_t sector_size) {
  SEMPER_CO_TRY(const auto format, co_await internal::open_format(device, sector_size));
  co_return co_await format->check_headers();
}

}  // namespace

Async<bool> is_blank(BlockDevice& device) {
  return run_through(internal::contained(look_if_blank(device)));
}
Async<std::string> contents(BlockDevice& device) {
  return run_through(internal::contained(look_at_contents(device)));
}
Async<void> create(BlockDevice& device, CreateOptions options) {
  return run_through(make_apart(device, std::move(options)));
}
Async<std::vector<HeaderDamage>> check_headers(BlockDevice& device, std::uint32_t sector_size) {
  return run_through(internal::contained(look_at_headers(device, sector_size)));
}

}  // namespace semper::ring
