// Behaviours that several files of cases use.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "semper/server/behaviour.h"
#include "semper/server/ref.h"

namespace semper::testing {

struct Counter {
  using State = std::int64_t;
  struct Add {
    std::int64_t by = 1;
    using Reply = std::int64_t;
  };
  struct Read {
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Add, Read>;

  Result<State> init(const EntityId&) { return 0; }
  Reply<std::int64_t> handle_call(const Add& m, State& s, Context&) { return s += m.by; }
  Reply<std::int64_t> handle_call(const Read&, State& s, Context&) { return s; }
  void handle_cast(const Add& m, State& s, Context&) { s += m.by; }
};

// Remembers what it was told, in order.
struct Diary {
  using State = std::vector<std::string>;
  struct Note {
    std::string text;
    using Reply = std::uint64_t;  // lines so far
  };
  struct Lines {
    using Reply = std::vector<std::string>;
  };
  using Messages = semper::Messages<Note, Lines>;

  Result<State> init(const EntityId&) { return State(); }
  Reply<std::uint64_t> handle_call(const Note& m, State& s, Context&) {
    s.push_back(m.text);
    return s.size();
  }
  void handle_cast(const Note& m, State& s, Context&) { s.push_back(m.text); }
  Reply<std::vector<std::string>> handle_call(const Lines&, State& s, Context&) { return s; }
};

// A list of texts. Functions, because g++ 12 destroys the members of an aggregate twice that is
// written inside a co_await expression, and knows no initializer lists there.
template <class... Text>
std::vector<std::string> list(Text... texts) {
  return {std::string(std::move(texts))...};
}
inline Diary::Note note(std::string text) {
  return {std::move(text)};
}

}  // namespace semper::testing
