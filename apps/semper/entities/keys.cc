#include "entities/keys.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "common/document.h"
#include "common/text.h"
#include "entities/look.h"
#include "semper/server/list_keys.h"

namespace semper::cli {
namespace {

using Purpose = Invocation::Purpose;

// Keys read in one transaction.
constexpr std::size_t kKeysPerPage = 1000;

const char* state_name(KeyView::State state) {
  switch (state) {
    case KeyView::State::queued:
      return "queued";
    case KeyView::State::waiting:
      return "waiting";
    case KeyView::State::done:
      return "done";
    default:
      return "set aside";
  }
}

Bytes key_item(const KeyView& key) {
  const bool has_value = key.reply && *key.reply && !(*key.reply)->empty();
  const bool has_error = key.reply && !*key.reply;
  return Fields()
      .add("message", text_item(key.message))
      .add("key", text_item(key.key))
      .add("state", text_item(state_name(key.state)))
      .add("attached_calls", number_item(key.attached_calls))
      .add("kept_until", key.kept_until ? time_item(*key.kept_until) : null_item())
      .add("reply", has_value ? stored_item(**key.reply) : null_item())
      .add("error", has_error ? text_item(key.reply->error().to_string()) : null_item())
      .item();
}

std::string reply_text(const KeyView& key) {
  if (!key.reply) return "-";
  if (!*key.reply) return shown(key.reply->error().to_string());
  return (*key.reply)->empty() ? "-" : shown_value(**key.reply);
}

Async<std::vector<KeyView>> read_all(const Tenant& tenant, const EntityId& id, std::size_t limit) {
  std::vector<KeyView> keys;
  KeyListOptions options;
  while (keys.size() < limit) {
    options.limit = std::min(limit - keys.size(), kKeysPerPage);
    SEMPER_CO_TRY(auto page, co_await list_keys(tenant, id, options));
    const bool is_last = page.size() < options.limit;
    for (auto& key : page) keys.push_back(std::move(key));
    if (is_last) break;
    options.after_message = keys.back().message;
    options.after_key = keys.back().key;
  }
  co_return keys;
}

}  // namespace

Async<void> show_keys(Invocation& invocation, KeysArguments arguments) {
  SEMPER_CO_TRY(const auto id, parse_entity(arguments.entity));
  SEMPER_CO_TRY(const Tenant tenant, co_await invocation.open_tenant(Purpose::read));
  const std::size_t limit = arguments.limit == 0 ? ~std::size_t{0} : arguments.limit;
  SEMPER_CO_TRY(const auto keys, co_await read_all(tenant, id, limit));
  std::string why;
  if (keys.empty()) why = co_await because_of_type(tenant, id.type);
  List document;
  std::vector<std::vector<std::string>> rows = {
      {"MESSAGE", "KEY", "STATE", "WAITING", "KEPT UNTIL", "REPLY"}};
  for (const auto& key : keys) {
    document.add(key_item(key));
    rows.push_back({shown(key.message), shown(key.key), state_name(key.state),
                    std::to_string(key.attached_calls),
                    key.kept_until ? shown_time(*key.kept_until) : "-", reply_text(key)});
  }
  if (keys.empty() && (!invocation.json() || !why.empty())) {
    invocation.note(shown(id.to_string()) + " remembers no idempotency keys" + why);
  }
  if (invocation.json()) co_return invocation.print_document(document.item());
  if (!keys.empty()) invocation.print(table(rows));
  if (keys.size() == limit) invocation.note("there may be more; see all with --limit 0");
  co_return Status{};
}

Async<void> forget_one_key(Invocation& invocation, MessageKeyArguments arguments) {
  SEMPER_CO_TRY(const auto id, parse_entity(arguments.entity));
  SEMPER_CO_TRY(const Tenant tenant, co_await invocation.open_tenant(Purpose::change));
  const std::string what = "key " + shown(arguments.key) + " of " + shown(arguments.message);
  SEMPER_CO_TRY_STATUS(invocation.confirm(shown(id.to_string()) + " forgets " + what +
                                          "; who sends it again has it done again"));
  const auto forgotten = co_await forget_key(tenant, id, arguments.message, arguments.key);
  if (!forgotten) {
    std::string list = "keys " + shown(id.to_string());
    co_return fail(co_await explained_part(tenant, id, forgotten.error(), std::move(list)));
  }
  invocation.mark_done();
  if (invocation.json()) {
    co_return invocation.print_document(Fields()
                                            .add("entity", text_item(id.to_string()))
                                            .add("message", text_item(arguments.message))
                                            .add("forgotten", text_item(arguments.key))
                                            .item());
  }
  invocation.say(shown(id.to_string()) + ": " + what + " is forgotten");
  co_return Status{};
}

}  // namespace semper::cli
