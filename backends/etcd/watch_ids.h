// WatchIds: which id each watcher has on one watch stream.
//
// We ask for ids of our own, so that many watchers can be created without waiting in between. etcd
// grants them; `etcd grpc-proxy` gives ids of its own, answers in an order of its own, and does not
// say for which key. So the first watcher of a stream is created alone, and shows whose ids they
// are: if ours, all others follow at once; if the other side's, one after the other, each when the
// one before was answered.
//
// Threads: none; the hub's mutex guards it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

namespace semper::etcd {

class WatchIds {
 public:
  // A new stream: nothing is on it.
  void reset();

  // Watcher `id` is to be created. What to send now: it, or nothing yet.
  std::vector<std::int64_t> want(std::int64_t id);

  // The other side has created a watcher.
  struct Created {
    std::optional<std::int64_t> id;  // which one; nothing: none was asked for
    std::vector<std::int64_t> send;  // those to create now
  };
  Created created(std::int64_t there);

  // It is not wanted any more. Its id there; nothing: it is not there (yet).
  std::optional<std::int64_t> forget(std::int64_t id);

  // Which watcher has that id there.
  std::optional<std::int64_t> id_of(std::int64_t there) const;

  // One was sent and is not answered: nothing else can be created.
  bool is_waiting() const { return asked_.has_value(); }

 private:
  enum class Whose : std::uint8_t { unknown, ours, theirs };

  Whose whose_ = Whose::unknown;
  std::optional<std::int64_t> asked_;  // sent alone, not answered
  std::set<std::int64_t> waiting_;     // to be sent; ids grow
  std::map<std::int64_t, std::int64_t> there_;
  std::map<std::int64_t, std::int64_t> ids_;  // the other way round
};

}  // namespace semper::etcd
