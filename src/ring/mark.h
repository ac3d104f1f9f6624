// What a ring is known by: its superblock, or its magic sector.
//
// A flush that fails during a creation leaves a ring that may be in a cache only, and that looks whole.
// Whoever comes next finds it there. So before anything is built on a ring that nobody has used yet, its
// mark is written once more and flushed; a side that was once attached has done so before.
#pragma once

#include "ring/format.h"

namespace semper::ring::internal {

// Whether neither side was ever attached, as far as the pointers tell.
inline bool is_unused(const Pointer& producer, const Pointer& consumer) {
  return producer.epoch == 0 && consumer.epoch == 0 && producer.position == 0 &&
         consumer.position == 0;
}

// Makes the mark durable. Changes nothing that can be read.
Async<void> confirm_mark(FormatOnDevice& format);

}  // namespace semper::ring::internal
