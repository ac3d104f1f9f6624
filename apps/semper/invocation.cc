#include "invocation.h"

#include <filesystem>
#include <iostream>
#include <utility>

#include "semper/base/cbor_json.h"
#include "semper/open_store.h"
#include "semper/store/directory.h"
#include "text.h"

namespace semper::cli {
namespace {

// The path of a store that is a file which is not there, though its directory is: a directory that
// is missing too is the backend's to name.
std::optional<std::string> missing_file(std::string_view url) {
  const auto parsed = StoreUrl::parse(url);
  if (!parsed || parsed->scheme != "sqlite" || parsed->path.empty()) return std::nullopt;
  const std::filesystem::path path(parsed->path);
  const auto directory = path.parent_path();
  std::error_code ignored;
  if (std::filesystem::exists(path, ignored)) return std::nullopt;
  if (!directory.empty() && !std::filesystem::exists(directory, ignored)) return std::nullopt;
  return parsed->path;
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
    : settings_(std::move(settings)), streams_(streams), interrupt_(interrupt) {}

Async<Store> Invocation::open(IfMissing if_missing) {
  const std::string& url = settings_.store;
  if (url.empty()) {
    co_return fail(ErrorKind::invalid_argument,
                   "no store was named; give --store URL, for example --store sqlite:./data.db, or "
                   "set SEMPER_STORE");
  }
  co_return co_await open_other(url, if_missing);
}

Async<Store> Invocation::open_other(std::string url, IfMissing if_missing) {
  if (if_missing == IfMissing::refuse) {
    if (const auto path = missing_file(url)) {
      co_return fail(ErrorKind::not_found, "there is no store at " + to_printable(*path, 1024) +
                                               "; check the path, or make one: semper --store '" +
                                               to_printable(url, 1024) + "' store create");
    }
  }
  SEMPER_CO_TRY(const Store store, co_await open_store(std::move(url)));
  stores_.push_back(store);
  co_return store;
}

Async<Tenant> Invocation::open_tenant() {
  SEMPER_CO_TRY(const Store store, co_await open());
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
  if (!json()) streams_.out << line << '\n';
}

void Invocation::print(std::string_view text) {
  streams_.out << text;
}

Status Invocation::print_document(BytesView cbor) {
  SEMPER_TRY(const auto text, cbor_to_json(cbor, {.indent = 2}));
  streams_.out << text << '\n';
  return {};
}

Status Invocation::print_event(BytesView cbor) {
  SEMPER_TRY(const auto text, cbor_to_json(cbor));
  streams_.out << text << '\n';
  return flush();
}

void Invocation::note(std::string_view sentence) {
  streams_.err << "semper: " << sentence << std::endl;
}

Progress Invocation::progress(Clock& clock) {
  return Progress(streams_.err, streams_.shows_progress ? Progress::Show::yes : Progress::Show::no,
                  clock);
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
  std::getline(streams_.in, answer);
  if (answer == "y" || answer == "Y" || answer == "yes") return {};
  return fail(ErrorKind::cancelled, "nothing was changed");
}

Status Invocation::flush() {
  streams_.out.flush();
  if (streams_.out) return {};
  return fail(ErrorKind::io, "the output could not be written; is the disk full?");
}

}  // namespace semper::cli
