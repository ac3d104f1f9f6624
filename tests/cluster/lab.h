// Lab: a network of machines on this one, and disks for them, that nobody else sees.
//
// enter() puts this process, and all that it starts from then on, into a network and a mount
// namespace of its own, with a bridge. A Machine is a further network namespace, held by a process
// and joined to the bridge; programs are started inside of it, and packets to it are dropped by
// iptables there. No namespace has a name: all of them live as long as a process in them does, and
// every process of the lab is told to die with the one that started it. So nothing has to be swept
// up after a test that was killed, but its temporary folder.
//
// Needs root. Source of the idea: Jepsen's control of networks, on one machine.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "semper/testing/child_process.h"

namespace semper::testing {

// The full path of a program, looked for where distributions have them; nothing: it is not
// installed.
std::optional<std::string> find_program(const std::string& name);

// Runs a program to its end and returns what it wrote. Throws where it fails, with its words.
std::string run_program(const std::string& name, std::vector<std::string> arguments,
                        std::vector<std::string> environment = {});

class Lab {
 public:
  // Why there can be no lab here, for the skipped test; nothing: there can.
  static std::optional<std::string> obstacle();

  // Once per process, and for good. The calling thread must be the one that starts all others.
  static void enter();
  static bool is_entered();

  // This process's own address on the bridge.
  static std::string address();
};

class Machine {
 public:
  // With an address that no machine of this process had before: others may still remember that one.
  Machine();

  const std::string& address() const { return address_; }

  // Starts a program inside; its output goes to the end of the file `log`.
  ChildProcess start(const std::string& log, std::vector<std::string> program_and_arguments) const;

  // Drops what comes from that address, from now on; hears everybody again.
  void drop_from(const std::string& address) const;
  void drop_nothing() const;

 private:
  std::vector<std::string> inside(const std::string& log,
                                  std::vector<std::string> program_and_arguments) const;

  std::string address_;
  ChildProcess holder_;
};

// The same for this process.
void lab_drop_from(const std::string& address);
void lab_drop_nothing();

// A file system of its own on a file, whose writes and flushes can be made to stall: it is frozen
// (FIFREEZE) for most of the time, so that a flush takes as long as the next thaw is away, while
// the programs on it go on. That is a disk with bad pauses, not one with a low rate.
class SlowDisk {
 public:
  // Mounted at `folder`. Error, in words: no loop device can be had here.
  static std::optional<std::string> mount(const std::string& image, const std::string& folder);
  static void unmount(const std::string& folder);

  explicit SlowDisk(const std::string& folder);
  ~SlowDisk();  // quick again

 private:
  ChildProcess freezer_;
};

// Runs the role that the arguments name; the exit code. Nothing: no role of these.
std::optional<int> run_lab_role(const std::vector<std::string>& arguments);

}  // namespace semper::testing
