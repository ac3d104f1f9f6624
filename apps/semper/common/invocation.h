// Invocation: what every command works with: the options common to all, the store they name, and
// where results and questions go.
//
// Results go to `out`, as plain words or, with --json, as one document or one line of JSON per
// event. Everything else (errors, notes, questions) goes to `err`, so that pipes carry results
// only.
#pragma once

#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/input_reader.h"
#include "common/interrupt.h"
#include "common/output.h"
#include "common/progress.h"
#include "semper/server/entity_id.h"
#include "semper/store/store.h"

namespace semper::cli {

struct Settings {
  std::string store;                       // a URL; empty: none was given
  bool store_is_from_environment = false;  // SEMPER_STORE, not a word of the command line
  std::string tenant;  // a directory's path, "a/b"; empty: the default part of the store
  bool json = false;
  bool assume_yes = false;
};

struct Streams {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
  bool is_terminal = false;     // a person can be asked
  bool shows_progress = false;  // err is a terminal
  bool shows_results = false;   // so is out
};

class Invocation {
 public:
  Invocation(Settings settings, Streams streams, Interrupt& interrupt);

  const Settings& settings() const { return settings_; }
  bool json() const { return settings_.json; }

  // For commands that are chosen with OnSignal::requests_stop.
  const Interrupt& interrupt() const { return interrupt_; }

  // What a command does with the store. Only `create` makes one that is not there, and `read` needs
  // no right to write it.
  enum class Purpose { read, change, create };
  // Opens the store. Errors: invalid_argument (no URL, or a wrong one), and open_store's.
  Async<Store> open(Purpose purpose);
  // The same with another one than the settings name.
  Async<Store> open_other(std::string url, Purpose purpose);
  // The part of it that --tenant names. Error not_found, too: there is no such directory.
  Async<Tenant> open_tenant(Purpose purpose);
  // Closes the stores that were opened.
  Async<void> close();

  // All that the command is handed to read, until its end. Errors: invalid_argument (more than so
  // many bytes), cancelled (the command is to end), io.
  Result<std::string> read_input(std::size_t bytes_maximum);

  // A line of plain words; nothing under --json.
  void say(std::string_view line);
  // Plain words as they are, line ends included.
  void print(std::string_view text);
  // Somebody looks at the results as they come: a terminal, and not --json.
  bool is_watched() const { return streams_.shows_results && !settings_.json; }
  // A JSON document over several lines, or an event on one line, which is seen at once.
  Status print_document(BytesView cbor);
  Status print_event(BytesView cbor);
  // What a person should know besides the result.
  void note(std::string_view sentence);

  // A line on the terminal, if there is one, that says how far a command is.
  Progress progress(Clock& clock);

  // What was asked is done, and all that is printed says so. Where that cannot be written, it is a
  // note and no failure: a script that hears of a failure does it again.
  void mark_done() { is_done_ = true; }
  bool is_done() const { return is_done_; }

  // Asks whether to go on. Errors: cancelled (no), invalid_argument (nobody to ask, no --yes).
  Status confirm(std::string_view what_will_happen);

  // Error io where not all of the output could be written (output.h).
  Status flush();

 private:
  // Nothing: the end. Error cancelled, too.
  Result<std::optional<char>> read_character();

  Settings settings_;
  Streams streams_;
  Output output_;
  Interrupt& interrupt_;
  std::vector<Store> stores_;
  bool is_done_ = false;
  std::optional<InputReader> reader_;
  std::string read_ahead_;  // by it; of a terminal a line at a time
  std::size_t read_ = 0;    // of those
};

}  // namespace semper::cli
