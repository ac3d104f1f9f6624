// KeyBook: what the messages of one transaction do to idempotency keys.
//
// A key's row is read before its message is accepted, run or answered, and written once, before the
// commit; the transaction fails with `conflict` where another has changed it meanwhile. Senders,
// the runs of messages, answers that come later and redriven letters all go through this.
//
// Bounds: kIdempotencyKeysPerEntity, kAttachedCallsMaximum, kKeysPerLook. When not: forgetting what
// is over (serve/key_reaper.h).
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "semper/server/internal/context_fields.h"
#include "semper/store/transaction.h"
#include "server/format/idempotency.h"
#include "server/format/keys.h"
#include "server/format/replies.h"

namespace semper::internal {

// Keyed messages of the queue that one attempt handles; the others in the next one.
inline constexpr std::size_t kKeysPerLook = 64;

class KeyBook {
 public:
  // `reader` where the transaction cannot read: it may, at its version or later.
  struct Place {
    Transaction& transaction;
    Transaction& reader;
    BytesView tenant_prefix;
  };
  // Whoever has loaded the entity knows that no order to kill it stands.
  enum class Loaded : std::uint8_t { yes, no };

  Async<void> look(Place place, const KeyAddress& address, Loaded loaded);
  bool knows(const KeyAddress& address) const;
  bool is_empty() const { return entries_.empty(); }
  // What stands of a key that was looked at, unless its time is over.
  const KeyRecord* find(const KeyAddress& address, std::int64_t now_ms) const;

  // A message with a key that was looked at meets what is known of it.
  struct Sent {
    const MessageKey& key;
    Event event;
    const ReplyToken& caller;
  };
  struct Meeting {
    enum class What : std::uint8_t {
      first,     // it is to be sent, or run
      attached,  // its caller, if it is a call's, gets the first one's reply
      answered,  // with `reply`
      refused    // with `error`
    };
    What what = What::first;
    Bytes reply = {};
    std::optional<Error> error = {};
  };
  enum class By : std::uint8_t { sender, runner };
  Meeting meet(const KeyAddress& address, const Sent& sent, By by, std::int64_t now_ms);
  // Before that: where as many are attached as may be, those go whose sessions are gone.
  Async<void> make_room(Place place, const KeyAddress& address);
  // A call that was attached does not wait any more.
  void detach(const KeyAddress& address, const ReplyToken& caller);

  // Whether the row is that of this message, which is not done.
  bool stands_for(const KeyAddress& address, const MessageKey& key, const ReplyToken& caller) const;
  // What the first one came to; who waits for it besides its own caller. An answer that came while
  // it ran is its reply.
  struct Told {
    Bytes reply;
    std::vector<ReplyToken> callers;
  };
  Told complete(const KeyAddress& address, Bytes reply, KeyRecord::State state,
                std::int64_t now_ms);
  // It has run, and is to be answered later; nothing where that has happened by now: done.
  std::optional<Told> wait(const KeyAddress& address, const ReplyToken& caller,
                           std::int64_t now_ms);
  // It will never run, and a repeat may: nothing is known of the key any more.
  std::vector<ReplyToken> forget(const KeyAddress& address);
  // The answers that callbacks gave to callers of keyed calls, of whatever entities.
  Async<void> answer(Place place, const std::vector<CallbackSends::KeyedAnswer>& answers,
                     std::int64_t now_ms, std::vector<OutgoingReply>& replies);
  // A letter goes back to its queue. False: it was done by another message with its key, meanwhile.
  void redrive(const KeyAddress& address, const MessageKey& key, const ReplyToken& caller);

  // Of the writes of settle(), about.
  std::size_t changed() const { return changed_; }
  std::size_t size_bytes() const { return bytes_; }
  // A row will be made where there was none, under a stamp that is not known before the commit.
  bool makes_rows() const { return !made_.empty(); }

  void settle(Transaction& transaction, BytesView tenant_prefix);

 private:
  struct Entry {
    KeyAddress address;
    std::optional<KeyRecord> stored;
    bool is_dead = false;  // the stored one, with its entity, of a kill that is being carried out
    std::optional<KeyRecord> now;
    std::uint64_t count = 0;  // keys of the entity, where this one is not stored
    bool has_changed = false;
  };
  using Name = std::pair<std::pair<std::string, std::string>, std::pair<std::string, std::string>>;

  static Name name_of(const KeyAddress& address);
  Entry& entry(const KeyAddress& address);
  KeyRecord& change(Entry& entry);
  KeyRecord& make(Entry& entry, const MessageKey& key, const ReplyToken& caller);
  static Async<void> read_chunks(Transaction& reader, const Bytes& row, KeyRecord& record);
  static void write(Transaction& transaction, const EntityKeys& keys, Entry& entry);

  std::map<Name, Entry> entries_;
  std::map<std::pair<std::string, std::string>, std::uint64_t> made_;  // by entity
  std::size_t changed_ = 0;
  std::size_t bytes_ = 0;
};

// Replies to all who wait; where they are too large for one transaction, some are told to ask
// again.
void tell(const KeyBook::Told& told, const Limits& limits, std::vector<OutgoingReply>& replies);

}  // namespace semper::internal
