#include "semper/journal_drain.h"

#include <optional>
#include <utility>

#include "semper/base/cbor.h"
#include "semper/ring/ring.h"
#include "semper/server/cast_once.h"

namespace semper {
namespace {

// An item of the journal: [type, id, message name, payload].
constexpr std::uint64_t kElements = 4;

Bytes encode_item(const EntityId& to, const RawMessage& message) {
  Bytes out;
  cbor::Writer writer(out);
  writer.array(kElements);
  writer.text(to.type);
  writer.text(to.id);
  writer.text(message.name);
  writer.bytes(message.payload);
  return out;
}

Result<OnceCast> decode_item(const ring::Item& item) {
  cbor::Reader reader(item.bytes);
  std::uint64_t elements = 0;
  std::string_view type;
  std::string_view id;
  std::string_view name;
  BytesView payload;
  const bool read = reader.read_array(elements) && elements == kElements &&
                    reader.read_text(type) && reader.read_text(id) && reader.read_text(name) &&
                    reader.read_bytes(payload) && reader.finish();
  if (!read) {
    return fail(ErrorKind::corrupt,
                "the journal's item at position " + item.start.to_string() +
                    " is no cast to a durable server; was something else written to this ring?");
  }
  return OnceCast{EntityId{std::string(type), std::string(id)},
                  RawMessage{std::string(name), Bytes(payload)}, item.after.offset()};
}

// After these the handle on the store is of no more use.
bool is_for_good(ErrorKind kind) {
  return kind == ErrorKind::io || kind == ErrorKind::closed || kind == ErrorKind::corrupt;
}

}  // namespace

struct JournalDrain::Target {
  OpenStore open;
  std::string source;  // the ring's identity
  std::optional<Store> store;

  Async<void> send(const std::vector<ring::Item>& items) {
    std::vector<OnceCast> casts;
    casts.reserve(items.size());
    for (const auto& item : items) {
      SEMPER_CO_TRY(OnceCast cast, decode_item(item));
      casts.push_back(std::move(cast));
    }
    if (!store) {
      SEMPER_CO_TRY(store, co_await open());
    }
    const Status sent = co_await cast_once(Tenant(*store), source, std::move(casts));
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
  target->source = info.identity;
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
  const Bytes item = encode_item(to, message);
  co_return co_await journal_.push(item, deadline);
}

Async<void> JournalDrain::shutdown() {
  return journal_.shutdown();
}

}  // namespace semper
