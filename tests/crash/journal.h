// What a publisher says it did, in a file of its own that outlives it: an intent before each
// message, what came of it after. One write() a step, so a SIGKILL leaves whole lines; no flush is
// needed, for the file outlives the process, not the machine.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "semper/base/result.h"

namespace semper::testing {

struct Step {
  enum class Kind : char {
    intent = 'I',
    cast_done = 'C',
    call_done = 'R',
    failed = 'E',      // with an error that leaves open whether it took effect
    refused = 'N',     // with an error that says it did not
    wrong_reply = 'X'  // the reply is another message's
  };
  Kind kind = Kind::intent;
  std::string ledger;
  std::string publisher;
  std::uint64_t number = 0;
  std::uint64_t detail = 0;  // of call_done: Receipt::applied
};

class JournalWriter {
 public:
  explicit JournalWriter(const std::string& path);
  ~JournalWriter();
  JournalWriter(const JournalWriter&) = delete;
  JournalWriter& operator=(const JournalWriter&) = delete;

  // All of them in one write. Any thread.
  void write(const std::vector<Step>& steps);

 private:
  int descriptor_;
};

// The whole steps of a journal; nothing where there is no file yet.
std::vector<Step> read_journal(const std::string& path);
// All journals of a folder.
std::vector<Step> read_journals(const std::string& folder);
// Their bytes: grows with every step of any publisher.
std::uint64_t journal_bytes(const std::string& folder);

}  // namespace semper::testing
