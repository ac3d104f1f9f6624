#include "semper/journal_drain.h"

#include <optional>
#include <string_view>
#include <utility>

#include "semper/base/cbor.h"
#include "semper/base/internal/mutant.h"
#include "semper/ring/ring.h"
#include "semper/server/cast_once.h"

namespace semper {
namespace {

// An item of the journal: [type, id, message name, payload, source]. 0.1.0 wrote no source, it was the
// ring's identity.
constexpr std::uint64_t kElements = 5;
constexpr std::uint64_t kElementsOf010 = 4;

Bytes encode_item(const EntityId& to, const RawMessage& message, std::string_view source) {
  Bytes out;
  cbor::Writer writer(out);
  writer.array(kElements);
  writer.text(to.type);
  writer.text(to.id);
  writer.text(message.name);
  writer.bytes(message.payload);
  writer.text(source);
  return out;
}

constexpr char kSourceSeparator = '/';
constexpr std::size_t kStartDigits = 16;

// What one start sends: its numbers are those of no other start, whatever becomes of the ring.
std::string draw_source(const std::string& identity, Random& random) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string source = identity + kSourceSeparator;
  std::uint64_t bits = random.next();
  if (SEMPER_MUTANT("drain_numbers_come_again_after_a_copy")) bits = 0;
  for (std::size_t i = 0; i < kStartDigits; ++i, bits >>= 4) source += kDigits[bits & 15];
  return source;
}

struct SourcedCast {
  std::string source;
  OnceCast cast;
};

Error foreign_item(const ring::Item& item, std::string_view what) {
  return Error(ErrorKind::corrupt, "the journal's item at position " + item.start.to_string() +
                                       " " + std::string(what) +
                                       "; what is behind it waits until it was taken out "
                                       "(semper ring consume --count 1)");
}

Result<SourcedCast> decode_item(const ring::Item& item, const std::string& identity) {
  cbor::Reader reader(item.bytes);
  std::uint64_t elements = 0;
  std::string_view type;
  std::string_view id;
  std::string_view name;
  BytesView payload;
  std::string_view source = identity;
  const bool read = reader.read_array(elements) &&
                    (elements == kElements || elements == kElementsOf010) &&
                    reader.read_text(type) && reader.read_text(id) && reader.read_text(name) &&
                    reader.read_bytes(payload) &&
                    (elements == kElementsOf010 || reader.read_text(source)) && reader.finish();
  if (!read) {
    return fail(foreign_item(
        item, "is no cast to a durable server; was something else written to this ring?"));
  }
  if (elements == kElements && !SEMPER_MUTANT("drain_takes_items_of_another_ring") &&
      (source.size() != identity.size() + 1 + kStartDigits || !source.starts_with(identity) ||
       source[identity.size()] != kSourceSeparator)) {
    return fail(foreign_item(item,
                             "was accepted by another ring, which may have sent it already; was "
                             "it copied here?"));
  }
  SourcedCast decoded;
  decoded.source = std::string(source);
  decoded.cast.to = EntityId{std::string(type), std::string(id)};
  decoded.cast.message = RawMessage{std::string(name), Bytes(payload)};
  decoded.cast.sequence = item.after.offset();
  return decoded;
}

// After these the handle on the store is of no more use.
bool is_for_good(ErrorKind kind) {
  return kind == ErrorKind::io || kind == ErrorKind::closed || kind == ErrorKind::corrupt;
}

}  // namespace

struct JournalDrain::Target {
  OpenStore open;
  std::string identity;  // the ring's
  std::string source;    // of what this start accepts
  std::optional<Store> store;

  // The casts of the items up to the first that is none, which `stopped` tells.
  std::vector<SourcedCast> decode(const std::vector<ring::Item>& items, Status& stopped) const {
    std::vector<SourcedCast> casts;
    casts.reserve(items.size());
    for (const auto& item : items) {
      auto cast = decode_item(item, identity);
      if (!cast) {
        stopped = fail(cast.error());
        break;
      }
      casts.push_back(std::move(*cast));
    }
    return casts;
  }

  Async<void> send(const std::vector<ring::Item>& items) {
    Status stopped;
    std::vector<SourcedCast> casts = decode(items, stopped);
    for (std::size_t next = 0; next < casts.size();) {
      const std::string from = casts[next].source;
      std::vector<OnceCast> together;
      for (; next < casts.size() && casts[next].source == from; ++next) {
        together.push_back(std::move(casts[next].cast));
      }
      SEMPER_CO_TRY_STATUS(co_await send_from(from, std::move(together)));
    }
    co_return stopped;
  }

  Async<void> send_from(std::string from, std::vector<OnceCast> casts) {
    if (!store) {
      SEMPER_CO_TRY(store, co_await open());
    }
    if (SEMPER_MUTANT("drain_sends_again_under_another_name")) {
      from += std::to_string(store->env().random->next());
    }
    const Status sent = co_await cast_once(Tenant(*store), std::move(from), std::move(casts));
    if (!sent && is_for_good(sent.error().kind())) store.reset();
    co_return sent;
  }
};

JournalDrain::JournalDrain(ring::Journal journal, std::shared_ptr<Target> target)
    : journal_(std::move(journal)), target_(std::move(target)) {}

Async<JournalDrain> JournalDrain::start(BlockDevice& device, OpenStore open,
                                        ring::JournalOptions options) {
  SEMPER_CO_TRY(const bool blank, co_await ring::is_blank(device));
  if (blank) {
    ring::CreateOptions create;
    create.format = options.format;
    create.env = options.ring.env;
    SEMPER_CO_TRY_STATUS(co_await ring::create(device, create));
  }
  SEMPER_CO_TRY(const ring::Info info, co_await ring::inspect(device));
  if (info.identity.empty()) {
    co_return fail(ErrorKind::unsupported,
                   "a ring of format " + std::string(to_string(info.format)) +
                       " has no identity to tell what was sent before; drain through one of "
                       "format semper-1");
  }
  auto target = std::make_shared<Target>();
  target->open = std::move(open);
  target->identity = info.identity;
  target->source = draw_source(info.identity, *options.ring.env.random);
  auto perform = [target](const std::vector<ring::Item>& items) { return target->send(items); };
  SEMPER_CO_TRY(auto journal,
                co_await ring::Journal::start(device, std::move(perform), std::move(options)));
  co_return JournalDrain(std::move(journal), std::move(target));
}

Async<ring::Journal::Waiter> JournalDrain::cast_raw(EntityId to, RawMessage message,
                                                    MonotonicTime deadline) {
  SEMPER_CO_TRY_STATUS(to.validate());
  if (message.name.empty() || !is_utf8(message.name) ||
      message.payload.size() + message.name.size() > kDrainMessageBytes) {
    co_return fail(ErrorKind::invalid_argument,
                   "a message through a journal has a name, and at most " +
                       std::to_string(kDrainMessageBytes) + " bytes; this one has " +
                       std::to_string(message.payload.size()));
  }
  const Bytes item = encode_item(to, message, target_->source);
  co_return co_await journal_.push(item, deadline);
}

}  // namespace semper
