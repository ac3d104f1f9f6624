#include "entities/record.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "common/document.h"
#include "common/text.h"
#include "entities/look.h"
#include "semper/base/cbor_json.h"
#include "semper/server/recording.h"

namespace semper::cli {
namespace {

// Between two looks whether somebody has had enough.
constexpr std::size_t kWrittenAtOnce = 64u << 10;

Status interrupted() {
  return fail(ErrorKind::cancelled, "interrupted; nothing was recorded");
}

Status is_there_already(const RecordArguments& arguments) {
  return fail(ErrorKind::already_exists,
              shown(arguments.output) + " is there already; --force replaces it");
}

// What cannot be the file, before the store is read for it.
Status check_place(const RecordArguments& arguments) {
  struct stat there {};
  if (::stat(arguments.output.c_str(), &there) != 0) return {};
  if (!S_ISREG(there.st_mode)) {
    return fail(ErrorKind::invalid_argument, shown(arguments.output) +
                                                 " is there and is not a file; name one, or leave "
                                                 "--output out for the standard output");
  }
  if (arguments.force) return {};
  return is_there_already(arguments);
}

// The file is there as a whole, or not at all. States and messages are in it: its owner alone reads
// it.
Status write_file(const RecordArguments& arguments, const std::string& text,
                  const Interrupt& interrupt) {
  const std::string part = arguments.output + ".part-" + std::to_string(::getpid());
  const auto failed = [&](const std::string& what) -> Status {
    const int reason = errno;
    ::unlink(part.c_str());
    if (reason == EEXIST) return is_there_already(arguments);
    const Error error = error_from_errno(reason, what + " " + shown(arguments.output));
    if (reason != ENOSPC && reason != EDQUOT) return fail(error);
    return fail(error.kind(), error.message() + "; make room, or give another --output");
  };
  const int file = ::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) {
    const int reason = errno;
    const Error error = error_from_errno(reason, "making " + shown(arguments.output));
    const auto folder = std::filesystem::path(arguments.output).parent_path().string();
    if (reason != ENOENT) return fail(error);
    return fail(error.kind(), error.message() + ": the folder " + shown(folder) +
                                  " does not exist; make it first");
  }
  std::size_t written = 0;
  while (written < text.size()) {
    if (interrupt.requested()) {
      ::close(file);
      ::unlink(part.c_str());
      return interrupted();
    }
    const std::size_t most = std::min(text.size() - written, kWrittenAtOnce);
    const ssize_t some = ::write(file, text.data() + written, most);
    if (some < 0 && errno == EINTR) continue;
    if (some <= 0) {
      const auto error = failed("writing");
      ::close(file);
      return error;
    }
    written += static_cast<std::size_t>(some);
  }
  const bool is_durable = ::fsync(file) == 0;
  if (!is_durable) {
    const auto error = failed("writing");
    ::close(file);
    return error;
  }
  ::close(file);
  // A link never replaces a file that another process has made meanwhile.
  const char* to = arguments.output.c_str();
  const int named = arguments.force ? std::rename(part.c_str(), to) : ::link(part.c_str(), to);
  if (named != 0) return failed("naming");
  if (!arguments.force) ::unlink(part.c_str());
  return {};
}

Status print_lines(Invocation& invocation, const std::string& text) {
  if (!invocation.json()) {
    invocation.print(text);
    return {};
  }
  std::string_view rest = text;
  while (!rest.empty()) {
    const auto end = rest.find('\n');
    SEMPER_TRY(const auto item, json_to_cbor(rest.substr(0, end)));
    SEMPER_TRY_STATUS(invocation.print_event(item));
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  return {};
}

void note_what_is_missing(Invocation& invocation, const Recording& recording) {
  if (recording.left_out > 0) {
    invocation.note(std::to_string(recording.left_out) +
                    " messages at the end of the queue were left out; --limit takes more");
  }
  if (recording.left_out_dead_letters) {
    invocation.note("the youngest dead letters were left out; --limit takes more");
  }
}

}  // namespace

Async<void> record(Invocation& invocation, RecordArguments arguments) {
  SEMPER_CO_TRY(const auto id, parse_entity(arguments.entity));
  if (!arguments.output.empty()) SEMPER_CO_TRY_STATUS(check_place(arguments));
  SEMPER_CO_TRY(const Tenant tenant, co_await invocation.open_tenant(Invocation::Purpose::read));
  SEMPER_CO_TRY_STATUS(co_await inspect_known(tenant, id));
  RecordOptions options;
  options.messages = arguments.limit == 0 ? ~std::size_t{0} : arguments.limit;
  options.tenant = invocation.settings().tenant;
  SEMPER_CO_TRY(const Recording recording, co_await record_entity(tenant, id, options));
  const std::string text = recording_to_text(recording);
  if (invocation.interrupt().requested()) co_return interrupted();
  note_what_is_missing(invocation, recording);
  if (arguments.output.empty()) co_return print_lines(invocation, text);
  SEMPER_CO_TRY_STATUS(write_file(arguments, text, invocation.interrupt()));
  invocation.mark_done();
  if (invocation.json()) {
    co_return invocation.print_document(Fields()
                                            .add("entity", text_item(id.to_string()))
                                            .add("file", text_item(arguments.output))
                                            .add("rows", number_item(recording.rows.size()))
                                            .add("left_out", number_item(recording.left_out))
                                            .item());
  }
  invocation.say(shown(id.to_string()) + " is recorded in " + shown(arguments.output) + ": " +
                 std::to_string(recording.rows.size()) + " rows");
  co_return Status{};
}

}  // namespace semper::cli
