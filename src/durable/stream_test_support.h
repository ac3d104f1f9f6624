// A scripted other side for the tests of streams: attempts and connections in one line of text.
//
// Attempts, one word each: no (no connection), rpc (refused), throw, hang (until cancelled), never
// (a permanent refusal), bare (a connection without state or source), c:ITEMS (a connection),
// r:ITEMS (one that resumes), s:ITEMS (a connection after 1 s). Items, separated by dots: digits
// are a batch of updates, with a t behind it a batch with a resume token; wait (1 s), stay (for
// ever), end (in good order), cut (an error), bad (an update that cannot be read), boom (an
// exception), seven (an int is thrown). The last attempt is repeated for ever.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "semper/durable/stream.h"
#include "semper/testing/simulated_clock.h"

namespace semper::durable_test {

using namespace std::chrono_literals;

inline std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, separator);) {
    if (!part.empty()) parts.push_back(part);
  }
  return parts;
}

class ScriptedSource final : public stream::UpdateSource<int> {
 public:
  ScriptedSource(Clock& clock, const std::string& items, int& open)
      : clock_(clock), items_(split(items, '.')), open_(open) {
    ++open_;
  }
  ~ScriptedSource() override { --open_; }

  Async<std::optional<stream::UpdateBatch<int>>> next() override {
    while (next_ < items_.size()) {
      const std::string item = items_[next_++];
      if (item == "wait") {
        SEMPER_CO_TRY_STATUS(co_await sleep_for(clock_, 1s));
      } else if (item == "stay") {
        SEMPER_CO_TRY_STATUS(co_await sleep_for(clock_, 1000h));
      } else if (item == "cut") {
        co_return fail(ErrorKind::io, "cut off");
      } else if (item == "bad") {
        co_return fail(ErrorKind::invalid_argument, "cannot be read");
      } else if (item == "seven") {
        throw 7;  // NOLINT: not every exception is a std::exception
      } else if (item == "boom") {
        throw std::runtime_error("the source's trouble");
      } else if (item == "end") {
        break;
      } else {
        std::optional<stream::UpdateBatch<int>> batch;
        batch.emplace();
        for (const char digit : item) {
          if (digit == 't') {
            batch->resume_token = std::to_string(batch->updates.back());
          } else {
            batch->updates.push_back(digit - '0');
          }
        }
        co_return batch;
      }
    }
    co_return std::nullopt;
  }

 private:
  Clock& clock_;
  std::vector<std::string> items_;
  int& open_;
  std::size_t next_ = 0;
};

// The dispatch functions of one test; counts the connections that are open.
class ScriptedServer {
 public:
  ScriptedServer(Clock& clock, const std::string& attempts)
      : clock_(clock), attempts_(split(attempts, ' ')) {}

  template <class Connection>
  Task<stream::Dispatched<Connection>> dispatch(stream::DispatchRequest request) {
    const std::size_t number = ++attempt_;
    const std::string word = attempts_[std::min(number, attempts_.size()) - 1];
    if (request.resume_after) asked_ += (asked_.empty() ? "" : " ") + *request.resume_after;
    if (word == "no") co_return stream::failed_to_connect(Error(ErrorKind::io, "nobody there"));
    if (word == "rpc") co_return stream::rpc_error(Error(ErrorKind::not_found, "no such stream"));
    if (word == "throw") throw std::runtime_error("the dispatch function's trouble");
    if (word == "never") {
      co_return stream::permanently(stream::rpc_error(Error(ErrorKind::permission, "never")));
    }
    if (word == "hang") {
      auto slept = co_await sleep_for(clock_, 1000h);
      co_return stream::failed_to_connect(slept.error());
    }
    if (word == "bare") co_return Connection(nullptr);
    if (word[0] == 's') static_cast<void>(co_await sleep_for(clock_, 1s));
    Connection connection(std::make_unique<ScriptedSource>(clock_, word.substr(2), open));
    connection.metadata = static_cast<int>(number);
    if (word[0] == 'r') {
      connection.continuity = stream::Continuity::resumed;
    } else {
      set_state(connection.state, static_cast<int>(number));
    }
    co_return connection;
  }

  template <class Connection>
  stream::Dispatch<Connection> dispatcher() {
    return [this](stream::DispatchRequest request) {
      return dispatch<Connection>(std::move(request));
    };
  }

  const std::string& asked() const { return asked_; }  // for which resume tokens
  int open = 0;                                        // connections that are not released

 private:
  static void set_state(std::optional<int>& state, int number) { state = 100 * number; }
  static void set_state(std::optional<stream::NoState>&, int) {}

  Clock& clock_;
  std::vector<std::string> attempts_;
  std::size_t attempt_ = 0;
  std::string asked_;
};

// An event in a word: try, up(METADATA), resumed(METADATA), state(S), [U,U], lost(KIND),
// failed(KIND), rpc(KIND), gap(DROPPED).
struct Shown {
  std::string operator()(const stream::AttemptingNewConnection&) const { return "try"; }
  std::string operator()(const stream::ConnectionSuccess<int>& up) const {
    return "up(" + std::to_string(up.metadata) + ")";
  }
  std::string operator()(const stream::ConnectionResumed<int>& up) const {
    return "resumed(" + std::to_string(up.metadata) + ")";
  }
  std::string operator()(const stream::LostConnection& lost) const {
    return "lost(" + std::string(to_string(lost.reason.kind())) + ")";
  }
  std::string operator()(const stream::FailedToConnect& failed) const {
    return "failed(" + std::string(to_string(failed.error.kind())) + ")";
  }
  std::string operator()(const stream::RpcError& failed) const {
    return "rpc(" + std::string(to_string(failed.error.kind())) + ")";
  }
  std::string operator()(const stream::Gap& gap) const {
    return "gap(" + std::to_string(gap.dropped_updates) + ")";
  }
  std::string operator()(const stream::State<int>& state) const {
    return "state(" + std::to_string(state.state) + ")";
  }
  std::string operator()(const stream::UpdateBatch<int>& batch) const {
    std::string text;
    for (const int update : batch.updates)
      text += (text.empty() ? "" : ",") + std::to_string(update);
    return "[" + text + "]";
  }
};

template <class Event>
std::string shown(const Event& event) {
  return std::visit(Shown(), event);
}

}  // namespace semper::durable_test
