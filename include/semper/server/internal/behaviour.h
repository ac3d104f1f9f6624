// A behaviour with its types forgotten: what a host works with.
#pragma once

#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "semper/base/time.h"
#include "semper/env/asio.h"
#include "semper/server/context.h"
#include "semper/server/dead_letter_info.h"
#include "semper/server/internal/limit_rules.h"
#include "semper/server/message_info.h"
#include "semper/server/reply.h"

namespace semper::internal {

// What came of one message, with the types forgotten.
struct Handled {
  ReplyControl control;
  bool replied = false;
  Bytes reply;                 // encoded, where replied without error
  std::optional<Error> error;  // replied with this error
  // The callback waits (it returns an awaitable): its rest, which uses state and message where they
  // are.
  std::optional<asio::awaitable<Result<Handled>>> rest = std::nullopt;
};

// Past it, letters could not be counted at each burial.
inline constexpr int kDeadLettersKeptMaximum = 1'000;

// What a type says of its messages that fail.
struct LetterRules {
  int attempts = -1;          // 0: for ever; less: as the host says
  int kept = 0;               // letters of an entity; 0: all
  Duration kept_for{};        // zero: for ever
  bool has_callback = false;  // handle_dead_letter

  bool has_bounds() const { return kept > 0 || kept_for > Duration::zero(); }
};

// What a type says of entities that nobody sends anything.
struct ExpiryRules {
  Duration after{};  // zero: they stay
  bool with_timers = false;
  bool with_dead_letters = false;
  bool has_callback = false;  // handle_expiry

  bool is_any() const { return after > Duration::zero(); }
};

// Errors of the handle functions:
// not_found (no such message or callback) and invalid_argument (it does not decode): running it
// again will not help; internal: the callback or a codec threw or failed. Those of the state's
// codec: internal where it threw, exhausted where memory ran out in decoding, else what it says.
class Behaviour {
 public:
  virtual ~Behaviour() = default;
  virtual std::string type() const = 0;
  virtual std::vector<MessageInfo> messages() const = 0;
  // Whether a callback of it returns an awaitable (but handle_locked).
  virtual bool has_waiting_callbacks() const { return false; }

  virtual Result<std::shared_ptr<void>> init(const EntityId& id) = 0;
  virtual Result<std::shared_ptr<void>> decode_state(BytesView bytes) const = 0;
  virtual Status encode_state(const void* state, Bytes& out) const = 0;
  // Of what encode_state() writes; from 1.
  virtual std::uint32_t state_version() const = 0;
  // The state, from what an older version wrote. Errors: those of init.
  virtual Result<std::shared_ptr<void>> upgrade_state(const EntityId& id, std::uint32_t from,
                                                      BytesView bytes) = 0;

  // Whether a callback takes a message of this name that comes so; handle_locked.
  virtual bool takes(std::string_view message, Event event) const = 0;
  virtual bool takes_locked(std::string_view message) const = 0;

  // What it uses besides the payload is borrowed until the rest of it, where there is one, has
  // ended.
  virtual Result<Handled> handle(std::string_view message, BytesView payload, void* state,
                                 Context& context) = 0;
  virtual Async<Handled> handle_locked(std::string_view message, BytesView payload, void* state,
                                       LockedContext& context) = 0;
  virtual LetterRules letter_rules() const { return {}; }
  // Where the rules say that there is such a callback.
  virtual Result<Handled> handle_dead_letter(const DeadLetterInfo& letter, void* state,
                                             Context& context);
  virtual ExpiryRules expiry_rules() const { return {}; }
  // The same.
  virtual Result<Handled> handle_expiry(void* state, Context& context);
  virtual LimitRules limit_rules() const { return {}; }
  // The entities that share the limits. Throws what the user's function does.
  virtual std::string limit_key(const EntityId& /*id*/) const { return {}; }
  // Of one of these. The same.
  virtual int limit_weight(const std::string& /*key*/) const { return 1; }
  virtual void terminate(const void* state, const std::string& reason) = 0;
};

// Whether every action of it takes a State.
template <class State>
bool fit_actions(const Result<Handled>& handled) {
  if (!handled) return true;
  for (const Action& action : handled->control.actions) {
    if (action.state_type != typeid(State)) return false;
  }
  return true;
}
// Error internal, of one that does not.
Error unfit_action_error();

// Success: they do. Error: internal.
template <class State>
Result<Handled> with_fitting_actions(Result<Handled> handled) {
  if (!fit_actions<State>(handled)) return fail(unfit_action_error());
  return handled;
}

// In the words of upgrade_state().
Error upgrade_error(const Error& why, const EntityId& id, std::uint32_t from, std::uint32_t to);
// Errors unsupported, with advice.
Error newer_state_error(const EntityId& id, std::uint32_t stored, std::uint32_t known);
Error unknown_fields_error(std::string_view type, const Error& surplus);
Error exception_error(std::string_view where, std::exception_ptr thrown);
Error codec_error(std::string_view doing, std::exception_ptr thrown);
Error no_callback_error(std::string_view type, std::string_view message, std::string_view callback);
Error unknown_message_error(std::string_view type, std::string_view message,
                            const std::vector<MessageInfo>& known);

}  // namespace semper::internal
