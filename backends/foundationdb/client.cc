#include "client.h"

#include <pthread.h>

#include <cstdlib>
#include <future>
#include <mutex>
#include <system_error>
#include <utility>

#include "errors.h"
#include "library.h"
#include "semper/base/log.h"

namespace semper::foundationdb {
namespace {

Error start_error(const FdbApi& api, FdbError code, const char* what) {
  const char* text = api.get_error(code);
  return Error(ErrorKind::io,
               std::string("FoundationDB's client cannot be started (") + what + ": " +
                   (text == nullptr ? "unknown error" : text) + ", error " + std::to_string(code) +
                   "); it starts once in a process: another part of this program may "
                   "use it already");
}

// Starts the client with the first store. Never destroyed: the process's end is the business of
// stop_at_exit.
class Owner {
 public:
  void stop() {
    std::lock_guard lock(mutex_);
    if (client_ && !fork_.is_foreign()) client_->stop();
  }

  Result<std::shared_ptr<Client>> get(const Client::Settings& settings) {
    std::lock_guard lock(mutex_);
    if (client_) {
      SEMPER_TRY_STATUS(fork_.check());
      SEMPER_TRY_STATUS(check_same(settings));
      return client_;
    }
    SEMPER_TRY(const FdbApi api, load_library(settings.library));
    SEMPER_TRY(client_, Client::start(api, settings));
    fork_ = ForkGuard();
    stop_at_exit();
    return client_;
  }

 private:
  Status check_same(const Client::Settings& settings) const {
    if (!settings.library.empty() && settings.library != client_->library()) {
      return fail(ErrorKind::invalid_argument,
                  "this process uses FoundationDB's client library " +
                      (client_->library().empty() ? kLibraryName : client_->library()) +
                      " already, and cannot load " + settings.library + " beside it");
    }
    if (settings.api_version && *settings.api_version != client_->api_version()) {
      return fail(ErrorKind::invalid_argument,
                  "this process runs FoundationDB's client at API version " +
                      std::to_string(client_->api_version()) +
                      " already; leave api=" + std::to_string(*settings.api_version) + " out");
    }
    return {};
  }

  std::mutex mutex_;
  std::shared_ptr<Client> client_;
  ForkGuard fork_;
};

Owner& owner() {
  static auto& the_owner = *new Owner();
  return the_owner;
}

}  // namespace

void stop_at_exit() {
  static_cast<void>(std::atexit([] { owner().stop(); }));
}

Result<std::shared_ptr<Client>> Client::start(const FdbApi& api, Settings settings) {
  SEMPER_TRY(const int version, choose_api_version(api, settings.api_version, settings.library));
  std::shared_ptr<Client> client(new Client(api, std::move(settings)));
  client->api_version_ = version;
  SEMPER_TRY_STATUS(client->run());
  return client;
}

// The thread first, which waits: what was set up in the library cannot be set up again.
Status Client::run() {
  std::promise<bool> set_up;
  try {
    thread_ = std::thread([network = network_, is_set_up = set_up.get_future()]() mutable {
      if (!is_set_up.get()) return;
      pthread_setname_np(pthread_self(), "fdb-network");
      const auto code = network->api.run_network();
      network->running.store(false, std::memory_order_release);
      if (code == 0) return;
      const char* text = network->api.get_error(code);
      log_error("fdb", "FoundationDB's network thread ended: " +
                           std::string(text == nullptr ? "unknown error" : text) + " (error " +
                           std::to_string(code) + "); every fdb: store of this process hangs");
    });
  } catch (const std::system_error& error) {
    return fail(ErrorKind::exhausted,
                std::string("the system gives no thread for FoundationDB's client (") +
                    error.what() + "); end processes that hold many, and try again");
  }
  auto ready = set_up_network();
  network_->running.store(ready.has_value(), std::memory_order_release);
  set_up.set_value(ready.has_value());
  if (!ready) thread_.join();
  return ready;
}

Status Client::set_up_network() {
  const FdbApi& api = network_->api;
  if (const auto code = api.select_api_version(api_version_, api_version_); code != 0) {
    return fail(start_error(api, code, "selecting the API version"));
  }
  if (const auto code = api.setup_network(); code != 0) {
    return fail(start_error(api, code, "setting up the network"));
  }
  return {};
}

Client::~Client() {
  stop();
}

void Client::stop() {
  if (fork_.is_foreign()) {
    // The thread object stands for one of the parent's, and must not end the child.
    if (thread_.joinable()) thread_.detach();
    return;
  }
  if (!thread_.joinable()) return;
  static_cast<void>(network_->api.stop_network());
  if (thread_.get_id() == std::this_thread::get_id()) {
    thread_.detach();
  } else {
    thread_.join();
  }
}

Result<std::shared_ptr<Client>> process_client(const Client::Settings& settings) {
  return owner().get(settings);
}

}  // namespace semper::foundationdb
