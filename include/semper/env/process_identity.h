// ProcessIdentity: identifies a process, so that another one can be sure that it is dead.
//
// What for: recording on disk who uses something (a ring's side), where no lock reaches. When not:
// locks that the kernel releases with their holder; they need no identity.
//
//   if (state_of(holder) == ProcessState::dead) take_over();   // otherwise: wait, look, or refuse
//
// Threads: any.
#pragma once

#include <cstdint>

namespace semper {

struct ProcessIdentity {
  // The boot of the machine and its PID namespace, as a hash; 0: not known.
  std::uint32_t host = 0;
  std::uint32_t pid = 0;
  // When it started, in ticks since that boot.
  std::uint32_t start = 0;

  friend bool operator==(const ProcessIdentity&, const ProcessIdentity&) = default;
};

ProcessIdentity this_process();

enum class ProcessState : std::uint8_t {
  alive,
  dead,
  // It belongs to another machine, boot or PID namespace.
  unknown,
};

ProcessState state_of(const ProcessIdentity& process);

}  // namespace semper
