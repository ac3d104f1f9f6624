// What the two on-disk formats have in common, behind one interface: pointers of the two sides,
// records in the stream, and an encoder that turns items into what is written.
//
// A position is a byte offset in an endless stream; its place on the device is
// data_start + position % capacity. Everything here works on positions; StreamIo knows the places.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "semper/block/block_device.h"
#include "semper/env/process_identity.h"
#include "semper/ring/item.h"
#include "semper/ring/options.h"
#include "semper/ring/position.h"

namespace semper::ring::internal {

enum class Side : std::uint8_t { producer = 0, consumer = 1 };
std::string_view to_string(Side side) noexcept;

// Roles and words of the device's companion. A position is stored plus one: zero is "not known".
inline constexpr std::size_t kExposedWord = 0;
inline constexpr std::size_t kConsumedWord = 1;
inline constexpr std::size_t kProducerFlagsWord = 2;  // counts changes of the acknowledgement
inline constexpr std::size_t kConsumerFlagsWord = 3;  // counts changes of the request
inline constexpr std::size_t kIdentityWord = 4;       // the ring that the other words are about
inline constexpr std::size_t kMemoryWord = 9;         // a number of this memory; 0 is none yet
// 1: the producer does not flush, 2: the consumer does not. What it tells is then durable only when
// somebody else has flushed.
inline constexpr std::size_t kUnflushedWord = 8;
// Of the producer that lives: its epoch, and where that begins (as a position).
inline constexpr std::size_t kEpochWord = 10;
inline constexpr std::size_t kEpochStartWord = 11;

// No ring gets there; so sums of positions and sizes never overflow.
inline constexpr std::uint64_t kMaxPosition = std::uint64_t{1} << 62;

struct Geometry {
  std::uint64_t data_start = 0;
  std::uint64_t capacity = 0;
  // Data is written in whole units of this many bytes: 4096, or a sector.
  std::uint32_t unit = 4096;
};

// A stretch of the stream that is being written in its place although it may be acknowledged.
struct Redo {
  std::uint64_t position = 0;
  std::uint32_t bytes = 0;
  std::uint32_t crc = 0;
  std::uint64_t place = 0;  // of the copy, on the device

  friend bool operator==(const Redo&, const Redo&) = default;
};

// What is stored of one side.
struct Pointer {
  Side side = Side::producer;
  std::uint64_t position = 0;
  bool flag = false;  // producer: suspend_ack; consumer: suspend
  bool attached = false;
  std::uint64_t sequence = 0;
  std::uint32_t epoch = 0;
  // The epoch of records behind `position` that an earlier producer pushed and did not expose.
  std::uint32_t pending_epoch = 0;
  // Durable when this was written. The producer's: the end of all that was pushed. The consumer's:
  // the end of all that it saw exposed.
  std::uint64_t known = 0;
  // The producer's: where the consumer stood, durably, when this was written.
  std::uint64_t consumed = 0;
  // The producer's: from there on records are of this epoch. An older one there was pushed by an
  // earlier producer and dropped, and what was written over it is lost.
  std::uint64_t epoch_start = 0;
  // Drawn by each attach: tells apart two that claimed the same epoch.
  std::uint32_t claim = 0;  // 29 bits, not zero
  // What is being written once more in its place, and has a copy meanwhile. No bytes: nothing.
  Redo redo;
  // The two places (of three, as bits) that an attach leaves alone: of this copy and of the one
  // that was durable when it was written, or, where an attach wrote this one, of the two that it
  // found.
  std::uint32_t keep = 0;
  // All other copies are of an earlier epoch.
  bool is_alone = false;
  std::string queue;
  std::string client;
  std::string machine;
  // Where the companion of who wrote it is, and who that is (neighbours.h). 0: not known.
  std::uint64_t memory = 0;
  ProcessIdentity process;
};

// What the bytes at a position are.
struct Parsed {
  enum class Kind : std::uint8_t { item, more, damaged };
  Kind kind = Kind::damaged;
  std::uint64_t need = 0;  // more: bytes from the position on, to decide
  BytesView payload;
  std::uint64_t after = 0;
  std::uint32_t epoch = 0;
  std::uint32_t flags = 0;
  std::uint64_t group_start = 0;
  const char* why = "";
};

struct Recovered {
  std::uint64_t exposed = 0;
  // Ends of what was pushed behind it, in order.
  std::vector<std::uint64_t> pushed;
  std::uint32_t pushed_epoch = 0;
  // Where the last write began whose records were found; all behind it may be in a cache only.
  std::uint64_t last_write = 0;
  // Set: what lies in the ring is younger than its pointers, which must have been put back.
  std::string stale;
  // False: the pointer on the disk says it all, and nothing was read.
  bool scanned = false;
};

// Both pointers, and what they and the records say.
struct Standing {
  Pointer consumer;
  Pointer producer;
  Recovered recovered;
};

// Reads and writes stretches of the stream, around the end of the data area.
class StreamIo {
 public:
  StreamIo(BlockDevice& device, Geometry geometry) : device_(&device), geometry_(geometry) {}

  // `position` and the size of `into` are multiples of the unit; at most one lap.
  Async<void> read(std::uint64_t position, std::span<std::byte> into);
  Async<void> write(std::uint64_t position, std::span<const std::byte> from, Flush flush);

  std::uint64_t place(std::uint64_t position) const noexcept {
    return geometry_.data_start + position % geometry_.capacity;
  }
  const Geometry& geometry() const noexcept { return geometry_; }
  BlockDevice& device() const noexcept { return *device_; }

 private:
  BlockDevice* device_;
  Geometry geometry_;
};

enum class Exposure : std::uint8_t { push, publish };

// What one write brings to the disk. `bytes` stays as it is until the next seal().
struct Group {
  std::uint64_t write_start = 0;  // a position, multiple of the unit
  std::span<const std::byte> bytes;
  std::uint64_t end = 0;
  // The end of each batch, by the number that append() returned.
  std::vector<std::uint64_t> batch_ends;
};

// Gathers items for the next write while the one before is under way. One thread at a time.
class Encoder {
 public:
  virtual ~Encoder() = default;

  enum class Fit : std::uint8_t { fits, buffer_full, needs_base, too_large };

  // Where the stream would end with these items; for the check of room.
  virtual std::uint64_t end_with(const ItemList& items, Exposure exposure) const = 0;
  // The last position that may be written when everything before `consumed` is free.
  virtual std::uint64_t limit(std::uint64_t consumed) const = 0;
  virtual Fit fit(const ItemList& items, Exposure exposure) const = 0;
  // What they take of the stream, from a fresh start.
  virtual std::uint64_t bytes_for(const ItemList& items) const = 0;

  // needs_base: reads what lies where items of bytes_for() go. Nothing gathered, nothing under way.
  virtual Async<void> load_base(std::uint64_t bytes) = 0;

  // Precondition: fit() == fits. Returns the number of the batch in the group.
  virtual std::size_t append(const ItemList& items, Exposure exposure) = 0;
  // Where the last item of it ends; if more come into its batch, that is where they begin.
  virtual std::uint64_t appended_end() const = 0;
  virtual bool empty() const = 0;
  // What the next write has that will not change any more, and no part of it was taken yet.
  virtual std::uint64_t settled_bytes() const { return 0; }
  // The first `most` of these, which go to the device before the rest is gathered. Their memory
  // stays as the group's does. Precondition: nothing under way but such parts.
  virtual Group take_part(std::uint64_t /*most*/) { return {}; }
  // What was not taken; with it, and a flush, the group is durable.
  virtual Group seal() = 0;

  // Goes on from another position. Precondition: empty, nothing under way.
  virtual void restart(std::uint64_t position, std::uint32_t epoch) = 0;
  virtual std::size_t memory_bytes() const = 0;
};

class FormatOnDevice {
 public:
  FormatOnDevice(BlockDevice& device, Geometry geometry) : io_(device, geometry) {}
  virtual ~FormatOnDevice() = default;

  virtual Format id() const noexcept = 0;
  virtual std::string identity() const = 0;
  // Tells rings apart in the companion's words.
  virtual std::uint64_t identity_word() const noexcept = 0;
  virtual std::uint32_t sector_size() const noexcept = 0;
  // Whether one flush is enough for publish, because the records say what is exposed.
  virtual bool records_publish() const noexcept = 0;

  virtual Async<Pointer> read_pointer(Side side) = 0;
  // Writes the next copy, and with Flush::always flushes, in one trip to the device. Precondition:
  // the copy before is durable.
  virtual Async<void> write_pointer(Pointer& pointer, Flush flush) = 0;
  // The text of a side, for inspect().
  virtual Async<std::string> side_text(Side side) = 0;
  // Records who is attached, durably, without touching what may be the only durable copy of an
  // earlier pointer; confirm() brings the other copies up to date. mirage-1.0: writes the side's
  // sector again as it is, for it may have been in a cache only.
  virtual Async<void> claim(Pointer& pointer, Flush flush) = 0;
  virtual Async<void> confirm(Pointer& pointer, Flush flush) = 0;

  // Makes durable what recover() found, also where it is in a cache that no flush empties any more
  // (a flush failed on it). `own` is the pointer of the side that attaches. Precondition: nobody
  // produces.
  virtual Async<void> settle(Pointer& own, const Standing& standing) = 0;
  // Ends a settle() that a crash interrupted. Precondition: as there.
  virtual Async<void> finish_settling() = 0;

  // What is exposed, and what was pushed behind it. Changes nothing.
  virtual Async<Recovered> recover(const Pointer& producer, const Pointer& consumer) = 0;

  // What was published behind `from`, an end of what is exposed, of the records alone, for who
  // cannot be told: cheap where there is nothing, and what is damaged counts as nothing. `producer`
  // as it is on the disk now.
  virtual Async<Recovered> tail(const Pointer& producer, std::uint64_t from) = 0;
  // As ring::check_headers().
  virtual Async<std::vector<HeaderDamage>> check_headers() = 0;

  // `bytes` lie at `position`; the record must end at or before `limit`.
  virtual Parsed parse(BytesView bytes, std::uint64_t position, std::uint64_t limit) const = 0;
  // The next position from `position` on at which a record may begin, for a search.
  virtual std::uint64_t record_step() const noexcept = 0;

  virtual std::uint64_t max_item_bytes(std::size_t buffer_bytes) const noexcept = 0;
  virtual std::unique_ptr<Encoder> encoder(std::uint64_t position, std::uint32_t epoch,
                                           std::size_t buffer_bytes) = 0;

  StreamIo& io() noexcept { return io_; }
  const Geometry& geometry() const noexcept { return io_.geometry(); }
  BlockDevice& device() const noexcept { return io_.device(); }

 protected:
  StreamIo io_;
};

// From `position` on, records are of this epoch.
struct EpochStart {
  std::uint64_t position = 0;
  std::uint32_t epoch = 0;

  // What a whole record at the position is taken for.
  Parsed check(std::uint64_t at, Parsed record) const {
    if (record.kind != Parsed::Kind::item || at < position || record.epoch >= epoch) return record;
    record.kind = Parsed::Kind::damaged;
    record.why =
        "an earlier producer had pushed and not exposed it; what was written over it is lost";
    return record;
  }
};
inline EpochStart start_of(const Pointer& producer) {
  if (producer.claim == 0) return {};  // an earlier version kept no start
  return {producer.epoch_start, producer.epoch};
}

// Reads it from a ring at which others may be at work. Error: corrupt.
Async<Standing> read_standing(FormatOnDevice& format);

// Asks the device which format it holds. Error: not_found.
Async<std::shared_ptr<FormatOnDevice>> open_format(BlockDevice& device, std::uint32_t sector_size);

// Null: no ring of that format there.
Async<std::shared_ptr<FormatOnDevice>> open_semper(BlockDevice& device);
Async<std::shared_ptr<FormatOnDevice>> open_mirage(BlockDevice& device, std::uint32_t sector_size);

// Writes a missing copy of the superblock. Precondition: one is there.
Async<void> repair_semper(BlockDevice& device);
// Whether neither side was ever attached, as far as the pointers tell.
inline bool is_unused(const Pointer& producer, const Pointer& consumer) {
  return producer.epoch == 0 && consumer.epoch == 0 && producer.position == 0 &&
         consumer.position == 0;
}
// What a ring is known by (superblock, magic sector) once more, durably. A flush that failed during
// a creation leaves it in a cache only, where it looks whole; so this comes before anything is
// built on a ring that nobody has used yet. Changes nothing that can be read. `one_copy`: of a ring
// whose making may have been told, the copy at the end alone, so that a power loss never finds both
// in doubt.
enum class Confirm : std::uint8_t { all_copies, one_copy };
Async<void> confirm_mark(FormatOnDevice& format, Confirm how);
// Copies of the superblock, never the only good one. Nothing, where the second one has no place of
// its own (a device that was cut short).
Async<void> confirm_semper(BlockDevice& device, Confirm how);

// An error not_found, with what the device holds instead of a ring; others as they are.
asio::awaitable<Error> say_what_is_there(BlockDevice& device, Error error);

// A new ring, whatever is there; returns its identity.
Async<std::string> make_semper(BlockDevice& device, const CreateOptions& options);
Async<void> make_mirage(BlockDevice& device, const CreateOptions& options);
// Zeros over the marks of a ring of either format, durably, where there are any.
Async<void> wipe_marks(BlockDevice& device);
// Nothing but zeros.
bool is_zero(BytesView bytes);

// Whether the beginning of a device is what an interrupted creation leaves: fresh pointers without
// the mark. `head`: so many bytes, or the device's.
inline constexpr std::uint64_t kHalfMadeBytes = 32768;
bool is_half_made_semper(BytesView head);
// The same, with some of its blocks spoilt, as by a power loss, and no pointer that attaching would
// have written: so nobody has, and there is nothing to lose in it.
bool was_never_used(BytesView head);
bool is_half_made_mirage(BytesView head);

// What a side believes, at any time: consumed <= exposed <= end, at most one lap apart. Asserts;
// what is read from a device is an error where it is not so, check_positions().
void assert_positions(const Geometry& geometry, std::uint64_t consumed, std::uint64_t exposed,
                      std::uint64_t end);

// Consumed up to exposed, at most one lap apart. Error: corrupt.
Status check_positions(const FormatOnDevice& format, std::uint64_t consumed, std::uint64_t exposed);

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}
constexpr std::uint64_t round_down(std::uint64_t value, std::uint64_t unit) {
  return value / unit * unit;
}

}  // namespace semper::ring::internal
