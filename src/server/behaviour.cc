#include "semper/server/behaviour.h"

namespace semper::internal {

Error exception_error(std::string_view where, std::exception_ptr thrown) {
  std::string what = "an exception of an unknown type";
  try {
    std::rethrow_exception(thrown);
  } catch (const std::exception& exception) {
    what = exception.what();
  } catch (...) {
  }
  return Error(ErrorKind::internal, "the callback threw: " + what).in(where);
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
