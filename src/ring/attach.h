// What both sides do when they attach: find the ring, take the role, find out where it stands.
#pragma once

#include "ring/attachment.h"

namespace semper::ring::internal {

// On success the role is held, and the side recorded as attached.
Async<Attachment> attach_side(BlockDevice& device, AttachOptions options, Side side);

}  // namespace semper::ring::internal
