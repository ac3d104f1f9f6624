#include "semper/server/internal/behaviour.h"

#include <new>

#include "semper/base/internal/thrown.h"

namespace semper::internal {

Result<Handled> Behaviour::handle_dead_letter(const DeadLetterInfo&, void*, Context&) {
  return fail(ErrorKind::unsupported, type() + " has no handle_dead_letter");
}

Result<Handled> Behaviour::handle_expiry(void*, Context&) {
  return fail(ErrorKind::unsupported, type() + " has no handle_expiry");
}

Error unfit_action_error() {
  return Error(ErrorKind::internal,
               "an action (Reply::then) takes another type than the entity's State; give it the "
               "state, then(state, action), and the compiler looks");
}

Error upgrade_error(const Error& why, const EntityId& id, std::uint32_t from, std::uint32_t to) {
  return why.in("upgrade of the state of " + id.to_string() + " from version " +
                std::to_string(from) + " to " + std::to_string(to));
}

Error newer_state_error(const EntityId& id, std::uint32_t stored, std::uint32_t known) {
  return Error(ErrorKind::unsupported,
               id.to_string() + " has a state of version " + std::to_string(stored) +
                   ", and this program knows versions up to " + std::to_string(known) +
                   " (kStateVersion of " + id.type +
                   "); it is left to hosts that know it: update this program");
}

Error unknown_fields_error(std::string_view type, const Error& surplus) {
  return Error(
      ErrorKind::unsupported,
      surplus.message() +
          "; a newer program has written this state, and it is left alone so that nothing "
          "of it is lost: update this one (or, where the fields were removed on purpose, set "
          "kDropsUnknownFields in " +
          std::string(type) + ")");
}

Error exception_error(std::string_view where, std::exception_ptr thrown) {
  std::string what = "an exception of an unknown type";
  try {
    std::rethrow_exception(thrown);
  } catch (const std::exception& exception) {
    what = internal::text_of(exception);
  } catch (...) {
  }
  return Error(ErrorKind::internal, "the callback threw: " + what).in(where);
}

// Memory that ran out is not the fault of the bytes that were read: they are not given up for it.
// What cannot be written for that reason is a failed run, as with any other exception.
Error codec_error(std::string_view doing, std::exception_ptr thrown) {
  const bool was_reading = doing.starts_with("decoding");
  try {
    std::rethrow_exception(thrown);
  } catch (const std::bad_alloc& exception) {
    return Error(was_reading ? ErrorKind::exhausted : ErrorKind::internal,
                 "memory ran out: " + internal::text_of(exception))
        .in(doing);
  } catch (const std::exception& exception) {
    return Error(ErrorKind::internal,
                 std::string("the codec threw: ") + internal::text_of(exception))
        .in(doing);
  } catch (...) {
    return Error(ErrorKind::internal, "the codec threw an exception of an unknown type").in(doing);
  }
}

Error no_callback_error(std::string_view type, std::string_view message,
                        std::string_view callback) {
  return Error(ErrorKind::not_found, "type " + std::string(type) + " has no " +
                                         std::string(callback) + " for message " +
                                         std::string(message));
}

Error unknown_message_error(std::string_view type, std::string_view message,
                            const std::vector<MessageInfo>& known) {
  std::string names;
  for (const auto& info : known) names += (names.empty() ? "" : ", ") + info.name;
  return Error(ErrorKind::not_found, "type " + std::string(type) + " knows no message " +
                                         to_printable(message, 64) + "; it has " + names);
}

}  // namespace semper::internal
