// What a store knows of programs that send what they have written down, in one order, with
// cast_once: how far each of their starts has come.
//
//   (6, log)             three numbers: the next place, starts remembered, the order below which
//                        some were forgotten
//   (6, log, 0, start)   three numbers: the highest sequence sent, the start's order, its place
//   (6, log, 1, place)   the start in that place
//
// Numbers have 8 bytes, little-endian. Places are given in the order in which starts first sent,
// and anew to one that sends after half of the bound came behind it: so those that have not sent
// for longest are forgotten first.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "semper/server/once_start.h"
#include "semper/store/transaction.h"

namespace semper::internal {

// The row of one start, within one transaction. Borrows its arguments.
class StartLedger {
 public:
  StartLedger(Transaction& transaction, BytesView tenant_prefix, const OnceStart& start,
              std::uint64_t remembered = kOnceStartsRemembered);

  // The highest sequence that this start has sent; none where it sent nothing. Error: exhausted,
  // where it may be one of those that were forgotten.
  Async<std::optional<std::uint64_t>> sent();

  // After sent(): now it has sent up to this one.
  Async<void> set_sent(std::uint64_t sequence);

 private:
  struct Log {
    std::uint64_t next_place = 0;
    std::uint64_t count = 0;
    std::uint64_t forgotten_below = 0;
  };
  Async<Log> read_log();
  Async<void> forget_one(Log& log);

  Transaction* transaction_;
  Bytes log_key_;
  Bytes start_key_;
  const OnceStart* start_;
  std::uint64_t remembered_;
  std::optional<std::uint64_t> place_;  // from sent()
};

}  // namespace semper::internal
