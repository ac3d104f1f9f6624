#include "entities/send.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "common/document.h"
#include "common/suggest.h"
#include "common/text.h"
#include "entities/hosts.h"
#include "entities/look.h"
#include "entities/message_form.h"
#include "semper/base/cbor_json.h"
#include "semper/base/stop.h"
#include "semper/env/one_shot.h"
#include "semper/server/inspect.h"
#include "semper/server/ref.h"

namespace semper::cli {
namespace {

using Purpose = Invocation::Purpose;

// Of a message read from the standard input.
constexpr std::size_t kInputBytesMaximum = 64u << 20;

enum class Way { call, cast };

bool takes(const MessageInfo& message, Way way) {
  return way == Way::call ? message.call : message.cast;
}

// As hosts have registered it. Error not_found where they have registered the type, or no type at
// all, but not this message: it would wait at the head of the queue for a host that knows it, and
// hold up what is behind.
Async<MessageInfo> find_message(Tenant tenant, EntityId id, std::string name, Way way) {
  SEMPER_CO_TRY(const auto types, co_await list_types(tenant));
  const auto type = std::find_if(types.begin(), types.end(),
                                 [&](const TypeView& view) { return view.type == id.type; });
  std::vector<std::string> known;
  if (type == types.end() || type->messages.empty()) {
    for (const auto& view : types) {
      if (!view.messages.empty()) known.push_back(view.type);
    }
    co_return fail(ErrorKind::not_found,
                   "no host has ever served type " + shown(id.type) + " in this store (it knows " +
                       listed(known) +
                       "); start the program that serves it, or queue the message all the same "
                       "with --force" +
                       did_you_mean(id.type, known));
  }
  bool other_way = false;
  for (const auto& message : type->messages) {
    const bool right = takes(message, way);
    if (message.name == name && right) co_return message;
    other_way = other_way || message.name == name;
    if (right) known.push_back(message.name);
  }
  const std::string verb = way == Way::call ? "call" : "cast";
  co_return fail(ErrorKind::not_found,
                 "type " + shown(id.type) + " has no message " + shown(name) + " to " + verb +
                     "; it has " + listed(known) +
                     (other_way ? std::string("; ") + shown(name) + " can be " +
                                      (way == Way::call ? "cast" : "called")
                                : did_you_mean(name, known)));
}

Error explain_input(const Error& error) {
  if (error.limit()) return Error(error.kind(), error.message() + "; a message is smaller");
  if (error.kind() == ErrorKind::cancelled) {
    return Error(error.kind(), error.message() + "; nothing was sent");
  }
  return Error(ErrorKind::io,
               "the standard input could not be read (it is closed, a folder, or failed); nothing "
               "was sent");
}

Result<Bytes> read_payload(const SendArguments& arguments, Invocation& invocation) {
  std::string json = arguments.json;
  if (json == "-") {
    auto input = invocation.read_input(kInputBytesMaximum);
    if (!input) return fail(explain_input(input.error()));
    json = std::move(*input);
  }
  auto payload = json_to_cbor(json);
  if (payload) return payload;
  const Error error = payload.error().in("content of message " + shown(arguments.message));
  return fail(
      error.kind(),
      error.message() + "; content is JSON in quotes for the shell, '[2]' or '{\"by\": 2}'");
}

struct Prepared {
  Tenant tenant;
  EntityId id;
  RawMessage message;
  std::string example;  // of what would be right, where it is known
};

Async<Prepared> prepare(Invocation& invocation, SendArguments arguments, Way way) {
  SEMPER_CO_TRY(const auto id, parse_entity(arguments.entity));
  if (arguments.message.empty() || !is_utf8(arguments.message)) {
    co_return fail(ErrorKind::invalid_argument,
                   "the message's name \"" + to_printable(arguments.message, 64) +
                       "\" is empty or not UTF-8; `semper types` shows those there are");
  }
  SEMPER_CO_TRY(auto payload, read_payload(arguments, invocation));
  SEMPER_CO_TRY(const Tenant tenant, co_await invocation.open_tenant(Purpose::change));
  Prepared prepared{tenant, id, {}, {}};
  if (!arguments.force) {
    SEMPER_CO_TRY(const auto message, co_await find_message(tenant, id, arguments.message, way));
    const auto kinds = way == Way::cast ? FieldKinds::checked : FieldKinds::left_to_host;
    SEMPER_CO_TRY(payload, fit_message(payload, message, kinds));
    prepared.example = example_of(message);
  }
  prepared.message = RawMessage{arguments.message, std::move(payload)};
  co_return prepared;
}

// Hosts that are registered for the type; a cast does not wait to see which of them are alive.
Async<std::size_t> count_registered(Tenant tenant, std::string type) {
  SEMPER_CO_TRY(const auto hosts, co_await list_hosts(tenant));
  co_return static_cast<std::size_t>(std::count_if(
      hosts.begin(), hosts.end(), [&](const HostView& host) { return serves(host, type); }));
}

// Those that are seen to be alive.
Async<std::size_t> count_serving(Tenant tenant, std::string type) {
  SEMPER_CO_TRY(const auto hosts, co_await watch_hosts(tenant));
  co_return static_cast<std::size_t>(std::count_if(
      hosts.begin(), hosts.end(),
      [&](const WatchedHost& host) { return !host.is_silent && serves(host.view, type); }));
}

std::string serving_text(std::size_t hosts, const std::string& type) {
  if (hosts == 0) {
    return "no host serves " + shown(type) + " now, start the program that does";
  }
  return std::to_string(hosts) + (hosts == 1 ? " host serves " : " hosts serve ") + shown(type) +
         ", see `semper queue` and `semper show` for what keeps it";
}

// Why nobody has answered a call, as far as the store can tell.
Async<std::string> explain_silence(Tenant tenant, EntityId id) {
  auto view = co_await inspect(tenant, id);
  if (view && view->parked) co_return "it is parked: " + shown(*view->parked);
  SEMPER_CO_TRY(const auto hosts, co_await count_serving(tenant, id.type));
  co_return serving_text(hosts, id.type);
}

// Nothing: the wait was interrupted.
using Reply = std::optional<Result<Bytes>>;

// Sends it, and waits for the reply or the interruption, whichever comes first. What was sent stays
// sent.
Task<Reply> wait_for_reply(const Prepared& prepared, Duration timeout,
                           std::optional<std::string> key, const Interrupt& interrupt) {
  OneShot<Reply> news;
  OneShot<bool> ended;
  const StopCallback on_stop(interrupt.token(), [news]() mutable { news.set(Reply()); });
  const auto stop = std::make_shared<asio::cancellation_signal>();
  const auto executor = co_await asio::this_coro::executor;
  asio::co_spawn(
      executor,
      [](RawRef to, RawMessage message, Duration at_most, std::optional<std::string> with,
         OneShot<Reply> heard) -> Task<void> {
        CallOptions options;
        options.timeout = at_most;
        if (with) options.key = IdempotencyKey{*with};
        heard.set(Reply(co_await to.call(std::move(message), options)));
      }(RawRef(prepared.tenant, prepared.id), prepared.message, timeout, std::move(key), news),
      asio::bind_cancellation_slot(stop->slot(),
                                   [stop, ended](std::exception_ptr) mutable { ended.set(true); }));
  auto heard = co_await news.wait();
  if (!heard) co_return Reply(Result<Bytes>(fail(heard.error())));
  if (!*heard) {
    // It leaves nothing in the store that says that somebody waits.
    stop->emit(asio::cancellation_type::terminal);
    static_cast<void>(co_await ended.wait());
  }
  co_return std::move(*heard);
}

Async<void> explain_interruption(const Prepared& prepared) {
  const std::string entity = shown(prepared.id.to_string());
  const auto view = co_await inspect(prepared.tenant, prepared.id);
  const std::string waiting =
      !view || view->queue_length == 0
          ? "its queue is empty: the message was taken, or did not get there"
          : "the message stays in its queue, where " + std::to_string(view->queue_length) +
                (view->queue_length == 1 ? " waits" : " wait") + ", and may still be processed";
  co_return fail(ErrorKind::timeout, "interrupted before " + entity + " answered; " + waiting +
                                         "; see `semper queue " + entity + "`, `semper show " +
                                         entity + "`");
}

// What is about to be lost, in words; the entity must be there, but need not be readable.
Async<std::string> describe_loss(Tenant tenant, EntityId id) {
  auto view = co_await inspect_known(tenant, id);
  if (!view && view.error().kind() == ErrorKind::corrupt) co_return "its unreadable state";
  if (!view) co_return fail(view.error());
  co_return (view->state ? "its state, " : "") + std::to_string(view->queue_length) +
      " waiting messages and " + std::to_string(view->dead_letters) + " dead letters";
}

Status report(Invocation& invocation, const EntityId& id, const char* done, const char* words) {
  invocation.mark_done();
  if (invocation.json()) {
    return invocation.print_document(
        Fields().add("entity", text_item(id.to_string())).add("done", text_item(done)).item());
  }
  invocation.say(shown(id.to_string()) + ": " + words);
  return {};
}

Status print_reply(Invocation& invocation, const Bytes& reply) {
  if (invocation.json()) return invocation.print_document(stored_item(reply));
  invocation.say(shown_value(reply));
  return {};
}

}  // namespace

Async<void> cast(Invocation& invocation, SendArguments arguments) {
  const bool is_delayed = arguments.after.has_value();
  Duration delay{};
  if (is_delayed) {
    SEMPER_CO_TRY(delay, parse_span_option("--after", *arguments.after));
    if (delay == kForever) {
      co_return fail(ErrorKind::invalid_argument,
                     "--after forever would never be sent; give a time, such as 1h");
    }
  }
  SEMPER_CO_TRY(auto prepared, co_await prepare(invocation, arguments, Way::cast));
  const RawRef entity(prepared.tenant, prepared.id);
  CastOptions options;
  if (arguments.key) options.key = IdempotencyKey{*arguments.key};
  if (is_delayed) {
    SEMPER_CO_TRY_STATUS(co_await entity.cast_after(delay, std::move(prepared.message), options));
  } else {
    SEMPER_CO_TRY_STATUS(co_await entity.cast(std::move(prepared.message), options));
  }
  // It is queued now: what goes wrong from here on is not the cast's failure.
  invocation.mark_done();
  const auto hosts = co_await count_registered(prepared.tenant, prepared.id.type);
  if (invocation.json()) {
    co_return invocation.print_document(Fields()
                                            .add("entity", text_item(prepared.id.to_string()))
                                            .add("message", text_item(arguments.message))
                                            .add("queued", flag_item(!is_delayed))
                                            .add("hosts", hosts ? number_item(*hosts) : null_item())
                                            .item());
  }
  invocation.say(shown(prepared.id.to_string()) + ": " + shown(arguments.message) +
                 (is_delayed ? " will be queued in " + shown_span(delay) : " is queued"));
  if (hosts && *hosts == 0) invocation.note(serving_text(*hosts, prepared.id.type));
  co_return Status{};
}

Async<void> call(Invocation& invocation, SendArguments arguments) {
  SEMPER_CO_TRY(const auto timeout, parse_span_option("--timeout", arguments.timeout));
  SEMPER_CO_TRY(auto prepared, co_await prepare(invocation, arguments, Way::call));
  const std::string entity = shown(prepared.id.to_string());
  if (invocation.interrupt().requested()) {
    co_return fail(ErrorKind::cancelled, "interrupted; nothing was sent to " + entity);
  }
  Reply reply = co_await wait_for_reply(prepared, timeout, arguments.key, invocation.interrupt());
  if (!reply) co_return co_await explain_interruption(prepared);
  auto& answer = *reply;
  if (!answer && answer.error().kind() == ErrorKind::timeout) {
    const auto why = co_await explain_silence(prepared.tenant, prepared.id);
    co_return fail(ErrorKind::timeout,
                   entity + " has not answered within " +
                       (timeout == kForever ? "the time" : shown_span(timeout)) +
                       "; the message is queued and may still be processed; " +
                       (why ? *why : why.error().message()));
  }
  if (!answer) {
    const bool content = answer.error().kind() == ErrorKind::invalid_argument;
    const Error refused = answer.error().in(entity + ", call " + shown(arguments.message));
    co_return fail(content && !prepared.example.empty()
                       ? Error(refused.kind(), refused.message() + "; " + prepared.example)
                       : refused);
  }
  SEMPER_CO_TRY_STATUS(print_reply(invocation, *answer));
  const Status printed = invocation.flush();
  if (printed) co_return printed;
  co_return fail(
      ErrorKind::outcome_unknown,
      entity + " has handled the message, and its reply is lost: " + printed.error().message());
}

Async<void> kill(Invocation& invocation, std::string entity) {
  SEMPER_CO_TRY(const auto id, parse_entity(entity));
  SEMPER_CO_TRY(const Tenant tenant, co_await invocation.open_tenant(Purpose::change));
  SEMPER_CO_TRY(const auto loss, co_await describe_loss(tenant, id));
  SEMPER_CO_TRY_STATUS(invocation.confirm("this deletes " + shown(id.to_string()) + ": " + loss));
  const RawRef target(tenant, id);
  SEMPER_CO_TRY_STATUS(co_await target.kill());
  co_return report(invocation, id, "kill", "deleted; the next message starts it anew");
}

Async<void> reset(Invocation& invocation, std::string entity) {
  SEMPER_CO_TRY(const auto id, parse_entity(entity));
  SEMPER_CO_TRY(const Tenant tenant, co_await invocation.open_tenant(Purpose::change));
  SEMPER_CO_TRY_STATUS(co_await describe_loss(tenant, id));
  SEMPER_CO_TRY_STATUS(invocation.confirm("this deletes the state of " + shown(id.to_string()) +
                                          " and what is in its maps, its queue stays"));
  const RawRef target(tenant, id);
  SEMPER_CO_TRY_STATUS(co_await target.reset());
  co_return report(invocation, id, "reset",
                   "its state is deleted; the next message makes a new one");
}

Async<void> unlock(Invocation& invocation, UnlockArguments arguments) {
  SEMPER_CO_TRY(const auto id, parse_entity(arguments.entity));
  SEMPER_CO_TRY(const Tenant tenant, co_await invocation.open_tenant(Purpose::change));
  SEMPER_CO_TRY(const auto view, co_await inspect_known(tenant, id));
  if (!view.lock && arguments.if_locked) {
    co_return report(invocation, id, "nothing", "was not locked");
  }
  if (!view.lock) {
    co_return fail(ErrorKind::not_found,
                   shown(id.to_string()) +
                       " is not locked; there is nothing to do (--if-locked makes that no error)");
  }
  const WallTime now = tenant.store()->env().clock->wall_time();
  SEMPER_CO_TRY_STATUS(invocation.confirm(
      "this takes the lock of " + shown(id.to_string()) + " away from " + shown(view.lock->owner) +
      ", which has held it for " + shown_span(now - view.lock->acquired) +
      "; its result will be refused and the message handled again"));
  const RawRef target(tenant, id);
  SEMPER_CO_TRY_STATUS(co_await target.unlock());
  co_return report(invocation, id, "unlock", "the lock is free");
}

}  // namespace semper::cli
