#include "semper/store/backend.h"

#include <pthread.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

namespace semper {
namespace {

struct Registry {
  std::mutex mutex;
  std::map<std::string, BackendFactory, std::less<>> factories;
};

// Never destroyed: exit handlers may fork.
Registry& registry() {
  static auto* const the_one = new Registry();
  return *the_one;
}

// Held over a fork, so that a child can open stores. When the program is loaded: see
// parent_descriptor.cc.
[[gnu::constructor(102)]] void prepare_for_forks() {
  const auto let_go = [] { registry().mutex.unlock(); };
  static_cast<void>(pthread_atfork([] { registry().mutex.lock(); }, let_go, let_go));
}

std::string join(const std::vector<std::string>& words) {
  std::string joined;
  for (const auto& word : words) joined += (joined.empty() ? "" : ", ") + word;
  return joined;
}

std::vector<std::string> known_schemes() {
  std::vector<std::string> schemes;
  std::lock_guard lock(registry().mutex);
  for (const auto& [scheme, factory] : registry().factories) schemes.push_back(scheme + ":");
  return schemes;
}

}  // namespace

Async<BackupReport> Backend::backup(std::string path, BackupOptions options) {
  static_cast<void>(path);
  static_cast<void>(options);
  co_return fail(
      ErrorKind::unsupported,
      url() +
          " has no backup of one file; use the engine's own means, or copy it into another "
          "store: semper store copy FROM TO");
}

Async<void> Backend::raise_version(Version floor) {
  SEMPER_CO_TRY(const auto now, co_await snapshot());
  SEMPER_CO_TRY(const auto any, co_await now->get(Bytes(1, '\0')));  // the version is known by now
  static_cast<void>(any);
  if (now->version() >= floor) co_return Status{};
  co_return fail(ErrorKind::unsupported,
                 "the store " + url() + " is at version " + std::to_string(now->version()) +
                     " and cannot be raised to " + std::to_string(floor) + "; nothing was changed");
}

Result<StoreUrl> StoreUrl::parse(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0) {
    return fail(ErrorKind::invalid_argument,
                "store URL \"" + to_printable(text) +
                    "\" has no scheme; write for example sqlite:./data.db or memory:");
  }
  StoreUrl url;
  url.scheme = text.substr(0, colon);
  auto rest = text.substr(colon + 1);
  const auto question = rest.find('?');
  url.path = rest.substr(0, question);
  if (question == std::string_view::npos) return url;
  rest.remove_prefix(question + 1);
  while (!rest.empty()) {
    const auto item = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), item.size() + 1));
    const auto equals = item.find('=');
    if (equals == std::string_view::npos || equals == 0) {
      return fail(ErrorKind::invalid_argument, "store URL parameter \"" + to_printable(item) +
                                                   "\" is not of the form name=value");
    }
    url.parameters.emplace_back(item.substr(0, equals), item.substr(equals + 1));
  }
  return url;
}

std::optional<std::string> StoreUrl::parameter(std::string_view name) const {
  for (const auto& [key, value] : parameters) {
    if (key == name) return value;
  }
  return std::nullopt;
}

Status StoreUrl::allow_only(std::initializer_list<std::string_view> names) const {
  for (const auto& [key, value] : parameters) {
    if (std::find(names.begin(), names.end(), key) != names.end()) continue;
    const std::string known = join(std::vector<std::string>(names.begin(), names.end()));
    return fail(ErrorKind::invalid_argument,
                "store URL parameter \"" + to_printable(key) + "\" is not known to " + scheme +
                    ": (" + (known.empty() ? "it takes none" : "it takes " + known) + ")");
  }
  return {};
}

std::string StoreUrl::to_string() const {
  std::string text = scheme + ":" + path;
  char separator = '?';
  for (const auto& [key, value] : parameters) {
    text += separator + key + "=" + value;
    separator = '&';
  }
  return text;
}

void register_backend(std::string scheme, BackendFactory factory) {
  std::lock_guard lock(registry().mutex);
  registry().factories.insert_or_assign(std::move(scheme), std::move(factory));
}

Async<std::shared_ptr<Backend>> open_backend(std::string text, Env env) {
  SEMPER_CO_TRY(auto url, StoreUrl::parse(text));
  BackendFactory factory;
  {
    std::lock_guard lock(registry().mutex);
    const auto found = registry().factories.find(url.scheme);
    if (found != registry().factories.end()) factory = found->second;
  }
  if (!factory) {
    co_return fail(ErrorKind::invalid_argument, "no store scheme \"" + to_printable(url.scheme) +
                                                    ":\" in this build; it knows " +
                                                    join(known_schemes()) +
                                                    ". A backend that is a library of its own is "
                                                    "linked by name: semper::etcd");
  }
  co_return co_await factory(std::move(url), env);
}

}  // namespace semper
