// A durable server whose work is done under the lock, outside any transaction, and takes as long as
// the test wants: until it finds the file FOLDER/release-PID of its process.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "semper/semper.h"

namespace semper::testing {

class Vault {
 public:
  static constexpr std::string_view kName = "vault";

  struct Turn {
    std::int64_t process = 0;
    std::uint64_t token = 0;
  };
  struct State {
    std::vector<Turn> turns;  // whose work was written back
    std::uint64_t notes = 0;
  };
  struct Work {
    using Reply = Turn;
  };
  struct Note {};
  using Messages = semper::Messages<Work, Note>;

  explicit Vault(std::string folder) : folder_(std::move(folder)) {}

  Result<State> init(const EntityId&) { return State{}; }
  Reply<Turn> handle_call(const Work&, State&, Context&) { return lock(); }
  void handle_cast(const Note&, State& state, Context&) { ++state.notes; }

  // Looks at nothing but the file: one that does not notice that it lost the lock.
  Task<Reply<Turn>> handle_locked(const Work&, State& state, LockedContext& context) {
    const Turn turn{::getpid(), context.fencing_token()};
    note("held", turn);
    const std::string release = folder_ + "/release-" + std::to_string(turn.process);
    while (!std::filesystem::exists(release)) {
      static_cast<void>(co_await sleep_for(context.clock(), std::chrono::milliseconds(1)));
    }
    state.turns.push_back(turn);
    note("done", turn);
    co_return turn;
  }

  // FOLDER/held-PID and done-PID, with the token in them, each whole or not there.
  static std::string note_path(const std::string& folder, const std::string& what,
                               std::int64_t pid) {
    return folder + "/" + what + "-" + std::to_string(pid);
  }

 private:
  void note(const std::string& what, const Turn& turn) const {
    const std::string path = note_path(folder_, what, turn.process);
    std::ofstream(path + ".new") << turn.token;
    std::filesystem::rename(path + ".new", path);
  }

  std::string folder_;
};

}  // namespace semper::testing
