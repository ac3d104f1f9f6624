// Entity: one entity's durable record and decoded state, as one host holds it between transactions.
//
// Invariants:
//   - `state` is what `encoded` decodes to, or what init or upgrade have made of it, unless a
//     callback has run on it since (then `dirty`);
//   - where `known`, header and pushed count are what the store held at version `as_of`, and a
//     transaction that began then, and commits with both unchanged, may rely on them without
//     reading;
//   - one owner touches an Entity, one transaction at a time: a slot's runner, a LockedTask, an
//     atomically().
//
// After a commit that failed: forget(). Where its outcome is unknown, or what ran shall not count:
// spoil().
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "semper/server/internal/behaviour.h"
#include "semper/store/recent_changes.h"
#include "semper/store/transaction.h"
#include "server/format/needs.h"
#include "server/format/orders.h"
#include "server/format/records.h"
#include "server/format/state_chunks.h"
#include "server/format/target.h"

namespace semper::internal {

// States up to this size lie in the header itself; larger ones in chunks, of which only those are
// written that a change has touched.
inline constexpr std::size_t kInlineStateBytes = 4096;

struct Segment {
  Bytes key;
  std::vector<QueuedMessage> messages;
};

class Entity {
 public:
  explicit Entity(std::shared_ptr<const Target> target) : target_(std::move(target)) {}

  // True where a transaction may begin at as_of() without reading.
  bool is_known() const { return known_; }
  Version as_of() const { return as_of_; }
  // What is known is so at this version, too, which the store has told.
  bool is_known_at(const RecentChanges& changes, Version newest) const;
  // Makes the transaction fail with `conflict` unless the entity is still what is known.
  void assume(Transaction& transaction) const;

  // Reads header, pushed count and up to `segments` queue segments, and decodes the state if there
  // is one and it is not the one at hand. Errors: those of the store; corrupt and unsupported: the
  // record or the state cannot be read (see unreadable()); exhausted: not with this memory;
  // conflict: it was killed, or reset, and what was to be removed of it is, or a part (orders.h).
  Async<void> load(Transaction& transaction, Behaviour& behaviour, std::size_t segments);

  // After load(): the transaction also fails with `conflict` if anything was enqueued meanwhile.
  void claim_queue(Transaction& transaction) const;

  // The transaction consumes from the first segment at hand, and fails with `conflict` if it was
  // taken away meanwhile. Where there is a header, that says so already; a kill of an entity
  // without one leaves no other trace.
  void claim_first_segment(Transaction& transaction) const;

  // The state, with what the callbacks of this attempt have done to it; made by init where none is
  // stored, and by upgrade where an older version is. The next load() decodes a touched one again,
  // unless committed() came before. Errors: those of init and upgrade.
  Result<void*> state(Behaviour& behaviour);
  void touch() { dirty_ = true; }
  // Another state, decoded by the same behaviour, takes its place; save() writes it.
  void replace_state(std::shared_ptr<void> state) {
    state_ = std::move(state);
    dirty_ = true;
  }
  const Bytes& encoded() const { return encoded_; }
  // As stored; empty: there is none.
  const Bytes& header_raw() const { return header_raw_; }
  // By an order that still stands: to reset, to unlock, to be held.
  bool is_ordered() const { return is_reset_ || unlocks_ || hold_; }
  // Somebody asks those who consume to let him by (orders.h); whether they do is theirs.
  const std::optional<Hold>& hold() const { return hold_; }
  // False: init makes the state.
  bool has_state() const { return !state_is_new_; }
  // The state as it is; null where none was decoded.
  void* state_unchecked() const { return state_.get(); }

  // Header of the next commit; change it, then save().
  Header& header() { return header_; }
  const Header& header() const { return header_; }
  std::uint64_t queue_length() const { return pushed_ - header_.popped; }
  bool has_all_segments() const { return all_segments_; }
  std::vector<Segment>& segments() { return segments_; }

  // Writes the header, and the state where it was touched or replaced. Returns false, having
  // written nothing, where neither differs from what the store holds. Errors: those of the state's
  // codec, nothing was written.
  Result<bool> save(Transaction& transaction, Behaviour& behaviour);

  // Whether what is known is still so at the transaction's version, for answers that wrote nothing.
  Async<bool> is_current(Transaction& transaction);

  // The transaction has committed. `queue_claimed`: it had claimed the queue as well.
  void committed(const Versionstamp& stamp, bool queue_claimed);
  // It has not, and nothing of it was applied: nothing is known any more, but a state whose header
  // is unchanged, and that no callback has touched, will not be decoded again.
  void forget() { known_ = false; }
  // Whether it has is not known, or nothing was committed of what callbacks did: the state at hand
  // is not the store's, and must be decoded anew. Pointers from state() are no longer good.
  void spoil();

  // Where load() failed because of the stored bytes: why. Held until the header changes.
  const std::optional<Error>& unreadable() const { return unreadable_; }
  // What it needs of a program that can read it; nothing where none could.
  const std::optional<Needs>& needs() const { return needs_; }

  std::size_t bytes() const {
    return encoded_.size() + header_raw_.size() + chunks_.size() * sizeof(StateChunk);
  }
  const Target& target() const { return *target_; }
  const std::shared_ptr<const Target>& shared_target() const { return target_; }

 private:
  // Carries an order to kill out; takes one to reset down, and clears the collections.
  Async<void> obey(Transaction& transaction, BytesView order);
  Async<void> load_state(Transaction& transaction, Behaviour& behaviour);
  Async<void> load_chunks(Transaction& transaction);
  // Whether the row can be that of chunk `number`; appends it then.
  bool take_chunk(const KeyValue& row, std::uint32_t number);
  Error spoilt_chunks(std::uint32_t number);
  Status decode(Behaviour& behaviour);
  Status refuse_newer(const Behaviour& behaviour);
  // What must agree whatever lies in the store; that is judged by load().
  void check() const;
  // Puts the state into the header, or into chunks, of which it writes those that differ from what
  // is stored.
  void store_state(Transaction& transaction, BytesView encoded);
  void write_chunks(Transaction& transaction, BytesView encoded);
  // Returns the order beside the header, if there is one.
  std::optional<Bytes> take_rows(RangePage page, std::size_t segments);

  std::shared_ptr<const Target> target_;
  Header header_;
  Bytes header_raw_;  // as stored; empty: there is none
  bool header_exists_ = false;
  std::uint64_t pushed_ = 0;
  bool pushed_exists_ = false;
  std::vector<Segment> segments_;
  bool all_segments_ = true;
  Status segments_status_;

  std::shared_ptr<void> state_;
  Bytes encoded_;                         // of state_, as stored
  StateChunks chunks_;                    // in which that is; empty: none, or of 0.1.0
  bool state_is_new_ = false;             // none is stored: made by init
  bool is_reset_ = false;                 // by an order that the next save() of a state takes away
  std::optional<std::uint64_t> unlocks_;  // by one that the next save() takes away
  std::optional<Hold> hold_;
  bool is_outdated_ = false;  // encoded_ is of an older version, and is not decoded yet
  bool dirty_ = false;
  bool saved_ = false;                   // save() wrote in the transaction under way:
  std::optional<Bytes> saved_encoding_;  // of the state, where that was written
  StateChunks saved_chunks_;
  Bytes saved_header_;

  bool known_ = false;
  Version as_of_ = 0;
  std::optional<Error> unreadable_;
  std::optional<Needs> needs_;
};

}  // namespace semper::internal
