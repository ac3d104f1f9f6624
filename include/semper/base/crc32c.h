// CRC32C: a 32-bit checksum that detects torn, stale or decayed bytes in storage and transmission.
//
// What for: records, sectors and messages; it finds every burst up to 32 bits and is one
// instruction on current processors. When not: against forgery (use a keyed hash), or as the hash
// of a table (use std::hash).
//
//   std::uint32_t whole = semper::crc32c(header_and_body);
//   std::uint32_t same = semper::crc32c(body, semper::crc32c(header));   // piece by piece
//
// The polynomial is Castagnoli's, bits reflected, start and end inverted, as in iSCSI (RFC 3720,
// appendix B.4) and SCTP: crc32c("123456789") is 0xe3069283. Never fails, takes no memory, any
// thread. The x86-64 instruction is used if the processor has it (checked at run time, not at build
// time); elsewhere tables give the same numbers at about a tenth of the speed.
#pragma once

#include <cstdint>

#include "semper/base/bytes.h"

namespace semper {

// The checksum of `bytes`. With `seed`, the checksum of what came before: the result is then that
// of both together, so crc32c(b, crc32c(a)) == crc32c(a + b). The seed 0 stands for nothing before.
std::uint32_t crc32c(BytesView bytes, std::uint32_t seed = 0) noexcept;

// True if the processor's instruction is used; for benchmarks and reports.
bool crc32c_is_accelerated() noexcept;

}  // namespace semper
