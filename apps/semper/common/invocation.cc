#include "common/invocation.h"

#include <unistd.h>

#include <filesystem>
#include <iostream>
#include <utility>

#include "common/text.h"
#include "semper/base/cbor_json.h"
#include "semper/open_store.h"
#include "semper/store/directory.h"

namespace semper::cli {
namespace {

// Of the standard input.
constexpr std::size_t kReadAhead = 64u << 10;

// The same store, opened so that what is not asked for does not happen: a misspelt path must not
// become an empty store, and who only looks needs no right to write.
std::string url_for(std::string url, Invocation::Purpose purpose) {
  const auto parsed = StoreUrl::parse(url);
  const bool says_how = !parsed || parsed->scheme != "sqlite" || parsed->parameter("access");
  if (says_how || purpose == Invocation::Purpose::create) return url;
  const bool looks = purpose == Invocation::Purpose::read;
  url += url.find('?') == std::string::npos ? '?' : '&';
  return url + (looks ? "access=read" : "access=existing");
}

bool is_relative_path(std::string_view url) {
  const auto parsed = StoreUrl::parse(url);
  return parsed && parsed->scheme == "sqlite" && !parsed->path.starts_with('/');
}

// A path from one folder leads elsewhere from another: it is the variable that has to be put right,
// and no second store to be made.
Error explain_environment(const std::string& url, const Error& error) {
  if (error.kind() != ErrorKind::not_found || !is_relative_path(url)) {
    return error.in("SEMPER_STORE");
  }
  std::error_code ignored;
  const std::string folder = std::filesystem::current_path(ignored);
  return Error(
      ErrorKind::not_found,
      "SEMPER_STORE=" + to_printable(url, 1024) + " leads from this folder, " +
          to_printable(folder, 1024) +
          ", to no store; go to the folder where it does, or set SEMPER_STORE to the whole "
          "path, sqlite:/...");
}

DirectoryPath path_of(std::string_view text) {
  DirectoryPath path;
  while (true) {
    const auto slash = text.find('/');
    path.emplace_back(text.substr(0, slash));
    if (slash == std::string_view::npos) return path;
    text.remove_prefix(slash + 1);
  }
}

}  // namespace

Invocation::Invocation(Settings settings, Streams streams, Interrupt& interrupt)
    : settings_(std::move(settings)),
      streams_(streams),
      output_(streams.out),
      interrupt_(interrupt) {}

Async<Store> Invocation::open(Purpose purpose) {
  const std::string& url = settings_.store;
  if (url.empty()) {
    co_return fail(ErrorKind::invalid_argument,
                   "no store was named; give --store URL, for example --store sqlite:./data.db, or "
                   "set SEMPER_STORE");
  }
  auto store = co_await open_other(url, purpose);
  if (store || !settings_.store_is_from_environment) co_return store;
  co_return fail(explain_environment(url, store.error()));
}

Async<Store> Invocation::open_other(std::string url, Purpose purpose) {
  SEMPER_CO_TRY(const Store store, co_await open_store(url_for(std::move(url), purpose)));
  stores_.push_back(store);
  co_return store;
}

Async<Tenant> Invocation::open_tenant(Purpose purpose) {
  SEMPER_CO_TRY(const Store store, co_await open(purpose));
  if (settings_.tenant.empty()) co_return Tenant(store);
  const DirectoryLayer directories(store.env());
  auto directory = co_await store.transact([&](Transaction& transaction) {
    return directories.open(transaction, path_of(settings_.tenant));
  });
  if (!directory) {
    co_return fail(directory.error().in("tenant " + to_printable(settings_.tenant, 256)));
  }
  co_return Tenant(store, directory->contents.prefix());
}

Async<void> Invocation::close() {
  Status first;
  for (const Store& store : std::exchange(stores_, {})) {
    const Status closed = co_await store.close();
    if (first && !closed) first = closed;
  }
  co_return first;
}

void Invocation::say(std::string_view line) {
  if (json()) return;
  output_.print([line](std::ostream& out) { out << line << '\n'; });
}

void Invocation::print(std::string_view text) {
  output_.print([text](std::ostream& out) { out << text; });
}

Status Invocation::print_document(BytesView cbor) {
  SEMPER_TRY(const auto text, cbor_to_json(cbor, {.indent = 2}));
  output_.print([&text](std::ostream& out) { out << text << '\n'; });
  return {};
}

Status Invocation::print_event(BytesView cbor) {
  SEMPER_TRY(const auto text, cbor_to_json(cbor));
  output_.print([&text](std::ostream& out) { out << text << '\n'; });
  return flush();
}

void Invocation::note(std::string_view sentence) {
  streams_.err << "semper: " << sentence << std::endl;
}

Progress Invocation::progress(Clock& clock) {
  return Progress(streams_.err, streams_.shows_progress ? Progress::Show::yes : Progress::Show::no,
                  clock);
}

Result<std::optional<char>> Invocation::read_character() {
  if (&streams_.in != &std::cin) {
    const auto next = streams_.in.get();
    if (next == std::istream::traits_type::eof()) return std::nullopt;
    return static_cast<char>(next);
  }
  if (read_ == read_ahead_.size()) {
    if (!reader_) reader_.emplace(STDIN_FILENO, interrupt_.token());
    read_ahead_.resize(kReadAhead);
    read_ = 0;
    const auto got = reader_->read(read_ahead_);
    read_ahead_.resize(got.value_or(0));
    if (!got) return fail(got.error());
    if (*got == 0 && interrupt_.requested()) return fail(ErrorKind::cancelled, "interrupted");
    if (*got == 0) return std::nullopt;
  }
  return read_ahead_[read_++];
}

Result<std::string> Invocation::read_input(std::size_t bytes_maximum) {
  std::string input;
  while (true) {
    SEMPER_TRY(const auto next, read_character());
    if (!next) return input;
    if (input.size() == bytes_maximum) {
      return fail(ErrorKind::invalid_argument, Limit{"kInputBytesMaximum", bytes_maximum},
                  "the standard input has more than " + std::to_string(bytes_maximum) + " bytes");
    }
    input.push_back(*next);
  }
}

Status Invocation::confirm(std::string_view what_will_happen) {
  if (settings_.assume_yes) return {};
  if (!streams_.is_terminal) {
    return fail(
        ErrorKind::invalid_argument,
        std::string(what_will_happen) + "; nobody can be asked here, so say --yes to do it");
  }
  streams_.err << "semper: " << what_will_happen << ". Go on? [y/N] " << std::flush;
  std::string answer;
  while (true) {
    const auto next = read_character();
    if (!next || !*next || **next == '\n') break;  // whatever is in the way: it is no yes
    answer.push_back(**next);
  }
  if (answer == "y" || answer == "Y" || answer == "yes") return {};
  return fail(ErrorKind::cancelled, "nothing was changed");
}

Status Invocation::flush() {
  return output_.flush();
}

}  // namespace semper::cli
