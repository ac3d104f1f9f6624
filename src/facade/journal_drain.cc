#include "semper/journal_drain.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "semper/base/cbor.h"
#include "semper/base/internal/mutant.h"
#include "semper/ring/ring.h"
#include "semper/server/cast_once.h"

namespace semper {
namespace {

// An item of the journal: [type, id, message name, payload, start, its order]. Items without an
// order were sent as those of a source, with a row for each entity, and go on so. 0.1.0 wrote no
// start either: the source is the ring's identity.
constexpr std::uint64_t kElements = 6;
constexpr std::uint64_t kElementsWithoutOrder = 5;
constexpr std::uint64_t kElementsOf010 = 4;

Bytes encode_item(const EntityId& to, const RawMessage& message, const OnceStart& from) {
  Bytes out;
  cbor::Writer writer(out);
  writer.array(kElements);
  writer.text(to.type);
  writer.text(to.id);
  writer.text(message.name);
  writer.bytes(message.payload);
  writer.text(from.start);
  writer.unsigned_integer(from.order);
  return out;
}

constexpr char kStartSeparator = '/';
constexpr std::size_t kStartDigits = 16;

// What one start sends: its numbers are those of no other start, whatever becomes of the ring.
std::string draw_start(const std::string& identity, Random& random) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string start = identity + kStartSeparator;
  std::uint64_t bits = random.next();
  if (SEMPER_MUTANT("drain_numbers_come_again_after_a_copy")) bits = 0;
  for (std::size_t i = 0; i < kStartDigits; ++i, bits >>= 4) start += kDigits[bits & 15];
  return start;
}

struct SourcedCast {
  std::string source;                  // the start, or what stood for it in older items
  std::optional<std::uint64_t> order;  // none: an older item
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
  std::uint64_t order = 0;
  const bool read = reader.read_array(elements) && elements >= kElementsOf010 &&
                    elements <= kElements && reader.read_text(type) && reader.read_text(id) &&
                    reader.read_text(name) && reader.read_bytes(payload) &&
                    (elements == kElementsOf010 || reader.read_text(source)) &&
                    (elements < kElements || reader.read_unsigned(order)) && reader.finish();
  if (!read) {
    return fail(foreign_item(
        item, "is no cast to a durable server; was something else written to this ring?"));
  }
  if (elements > kElementsOf010 && !SEMPER_MUTANT("drain_takes_items_of_another_ring") &&
      (source.size() != identity.size() + 1 + kStartDigits || !source.starts_with(identity) ||
       source[identity.size()] != kStartSeparator)) {
    return fail(foreign_item(item,
                             "was accepted by another ring, which may have sent it already; was "
                             "it copied here?"));
  }
  SourcedCast decoded;
  decoded.source = std::string(source);
  if (elements == kElements) decoded.order = order;
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
  OnceStart self;        // of what this start accepts
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
      const std::optional<std::uint64_t> order = casts[next].order;
      std::vector<OnceCast> together;
      for (; next < casts.size() && casts[next].source == from; ++next) {
        together.push_back(std::move(casts[next].cast));
      }
      if (!store) {
        SEMPER_CO_TRY(store, co_await open());
      }
      const Status sent = co_await send_from(from, order, std::move(together));
      if (!sent && is_for_good(sent.error().kind())) store.reset();
      SEMPER_CO_TRY_STATUS(sent);
    }
    co_return stopped;
  }

  Async<void> send_from(std::string source, std::optional<std::uint64_t> order,
                        std::vector<OnceCast> casts) {
    if (SEMPER_MUTANT("drain_sends_again_under_another_name")) {
      source += std::to_string(store->env().random->next());
    }
    const Tenant tenant(*store);
    if (!order) co_return co_await cast_once(tenant, std::move(source), std::move(casts));
    const bool is_own = source == self.start;
    OnceStart from;
    from.log = identity;
    from.start = std::move(source);
    from.order = *order;
    from.sent_nothing = is_own && self.sent_nothing;
    const Status sent = co_await cast_once(tenant, std::move(from), std::move(casts));
    if (sent && is_own) self.sent_nothing = false;
    const auto limit = sent ? std::nullopt : sent.error().limit();
    if (!limit || std::string_view(limit->name) != "kOnceStartsRemembered") co_return sent;
    co_return fail(sent.error().in(
        "a cast that an earlier start accepted; what is behind it waits until it was taken out "
        "(semper ring consume --count 1)"));
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
  target->self.log = info.identity;
  target->self.start = draw_start(info.identity, *options.ring.env.random);
  // Each attach raises the epochs of both sides.
  target->self.order = std::max(info.producer.epoch, info.consumer.epoch);
  target->self.sent_nothing = true;
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
  const Bytes item = encode_item(to, message, target_->self);
  co_return co_await journal_.push(item, deadline);
}

}  // namespace semper
