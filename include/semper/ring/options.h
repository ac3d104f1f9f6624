// Options of a ring, and the small types that its two sides share.
//
// What for: included by producer.h, consumer.h and ring.h; look here for a default and when to
// change it. When not: there is nothing to call here.
//
//   ring::AttachOptions options;
//   options.queue = "mail";
//   options.client = "outbox of host 3";
//   auto producer = co_await ring::Producer::attach(device, options);
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "semper/base/bytes.h"
#include "semper/base/result.h"
#include "semper/env/backoff.h"
#include "semper/env/clock.h"
#include "semper/env/env.h"

namespace semper::ring {

// The format of a ring on its device: docs/ring-format-semper-1.md and
// docs/ring-format-mirage-1.0.md.
enum class Format : std::uint8_t {
  // Checksums and positions everywhere; one flush per published batch.
  semper_1 = 1,
  // Byte for byte the format of the OCaml library shared-block-ring 3.0; two flushes, no checksums.
  mirage_1_0,
};

// "semper-1", "mirage-1.0".
std::string_view to_string(Format format) noexcept;
// The inverse. Error: invalid_argument.
Result<Format> format_from(std::string_view name);

// What the producer has last acknowledged.
enum class State : std::uint8_t { running, suspended };
std::string_view to_string(State state) noexcept;

// Whether acknowledged data is on stable storage. If the two sides of a ring choose differently,
// the one that flushes does so before it relies on data from the other.
enum class Flush : std::uint8_t {
  always,
  // In the page cache only: survives a crash of the process, but not of the machine, which may also
  // damage the ring. For work that can be produced again.
  never,
};

enum class TakeOver : std::uint8_t {
  no,
  // Attach although the disk says that another machine is attached. Use it only when that machine
  // is known to be dead. It does not override a live holder on this machine.
  yes,
};

// What a consumer does with a damaged record (semper-1; in mirage-1.0 most damage goes unnoticed).
enum class OnDamage : std::uint8_t {
  // `corrupt` with the position, every time, until the caller continues from resync().
  stop,
  // Continue with the next valid record; debug_info() and damage() say what was skipped.
  skip,
};

// What create may overwrite.
enum class Overwrite : std::uint8_t {
  // A device without any known signature (ring::is_blank), or an interrupted creation.
  blank_only,
  // Anything except a ring that can be attached; this includes the remains of a ring. The old
  // contents are lost.
  anything,
  // Such a ring too, including its items.
  also_a_ring,
};

// The deadline of an operation that should not wait.
inline constexpr MonotonicTime kNoWait = MonotonicTime::min();

struct CreateOptions {
  Format format = Format::semper_1;
  // mirage-1.0: the sector size in bytes, which that format does not record. Default 0: the
  // device's. Use 512 for a file that the OCaml library created. Must be a multiple of the
  // device's.
  std::uint32_t sector_size = 0;
  Overwrite overwrite = Overwrite::blank_only;
  // Its `random` gives a semper-1 ring its identity.
  Env env = {};
};

struct AttachOptions {
  // The name of the queue, and who uses it; for people and debug_info; truncated to 128 bytes each.
  std::string queue = {};
  std::string client = {};
  // The name of this machine, if machines share the device: attaching is then refused if the disk
  // names another machine as attached (semper-1). Default: empty; a holder that may be alive where
  // no lock reaches is then watched for 3 s, and attaching is refused only if that holder is
  // active.
  std::string machine = {};
  TakeOver take_over = TakeOver::no;
  Flush flush = Flush::always;
  OnDamage on_damage = OnDamage::stop;
  // Memory for all buffers of this handle, whatever the ring's size; at least 64 KiB. An item may
  // take a quarter of it. Raise it for larger items; lower it if there are many rings.
  std::size_t memory_bytes = std::size_t{8} << 20;
  // Calls that may wait for their turn at the same time; the next one gets `retry`.
  std::size_t max_waiting = 65536;
  // As in CreateOptions.
  std::uint32_t sector_size = 0;
  // How often the device is polled while waiting for a side that cannot wake this one.
  BackoffOptions poll = {.initial = std::chrono::milliseconds(1),
                         .maximum = std::chrono::milliseconds(100)};
  Env env = {};
};

// Keys and values for a log. Do not rely on either.
using DebugInfo = std::vector<std::pair<std::string, std::string>>;

// One item or several, as arguments: borrowed until the operation they are given to completes.
//   push("text")   push(bytes)   push(vector_of_bytes)   push(vector_of_views)
class ItemList {
 public:
  template <class T>
  requires std::is_convertible_v<const T&, BytesView> ItemList(const T& one)
      : one_(one), count_(1) {}  // NOLINT: implicit on purpose
  ItemList(const std::vector<Bytes>& items) : owned_(items.data()), count_(items.size()) {}
  ItemList(const std::vector<BytesView>& items) : views_(items.data()), count_(items.size()) {}
  ItemList(std::span<const BytesView> items) : views_(items.data()), count_(items.size()) {}

  std::size_t size() const noexcept { return count_; }
  BytesView operator[](std::size_t index) const noexcept {
    if (views_ != nullptr) return views_[index];
    return owned_ != nullptr ? BytesView(owned_[index]) : one_;
  }

 private:
  BytesView one_;
  const Bytes* owned_ = nullptr;
  const BytesView* views_ = nullptr;
  std::size_t count_;
};

}  // namespace semper::ring
