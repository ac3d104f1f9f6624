// RawMessage, ReplyToken, Event: a type-erased message, and who waits for its answer.
//
// What for: tools and bridges that send without the types (RawRef, cast_once, inspect), and
// callbacks that answer later (Context::reply_token). When not: a program that has the types sends
// through a Ref (server/ref.h) and never sees these.
//
//   RawMessage message{"Add", encode(Counter::Add{2})};   // the name of a type, one CBOR item
//
// Plain values, without a thread or an owner.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "semper/base/bytes.h"
#include "semper/server/internal/tracing.h"

namespace semper {

// Messages that may wait in one entity's durable queue; beyond that, casts and calls to it get
// `retry`. Each process checks after every kQueueCheckInterval messages that it has sent there, so
// the queue may exceed the bound by that many per process.
inline constexpr std::uint64_t kQueueMessagesMaximum = 1'000'000;
inline constexpr std::uint64_t kQueueCheckInterval = 1'000;

// How a message is sent, and which callback handles it. The numbers are part of the queue format.
enum class Event : std::uint8_t { call = 0, cast = 1, info = 2 };

// A type-erased message: its name and its encoding.
struct RawMessage {
  std::string name;
  Bytes payload;  // one CBOR item
  // The trace that it belongs to; null: none. Set by RawRef::traced(), and by hosts.
  std::shared_ptr<const internal::MessageTrace> trace = nullptr;
};

// The address of a waiting caller. A plain value: keep it in the state, or send it to any entity of
// the caller's tenant.
struct ReplyToken {
  Bytes session;             // of the waiting process; empty: nobody waits
  std::uint64_t number = 0;  // of the call in that process

  bool is_empty() const { return session.empty(); }
  friend bool operator==(const ReplyToken&, const ReplyToken&) = default;
};

}  // namespace semper
