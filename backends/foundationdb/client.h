// Client: the client library at work, with its one thread.
//
// FoundationDB's client does everything on one network thread. It is started once in a process, and
// can not be started again after it was stopped: so it starts with the first store, survives the
// opening and closing of any number, and is stopped and joined when the process ends
// (stop_at_exit). All stores of a process share one library and one API version.
//
// Threads: any, but process_client() must not be called while the process is already ending.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "fdb_c_api.h"
#include "fork_guard.h"

namespace semper::foundationdb {

class Client {
 public:
  struct Settings {
    std::string library;  // as named; for messages, and to tell two of them apart
    std::optional<int> api_version;
  };

  // Selects the API version, sets up the network and starts its thread.
  // Errors: exhausted (no thread; then the library was not touched), unsupported (library.h), io
  // (the library refused; the client cannot be started again).
  static Result<std::shared_ptr<Client>> start(const FdbApi& api, Settings settings);

  ~Client();  // stop()
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  const FdbApi& api() const { return network_->api; }
  int api_version() const { return api_version_; }
  const std::string& library() const { return settings_.library; }

  // False once the thread has ended: nothing completes any more, and nothing may be called but what
  // frees memory of this process alone.
  bool is_running() const noexcept { return network_->running.load(std::memory_order_acquire); }

  // Ends the thread and waits for it; on the thread itself (a callback held the last store) it
  // cannot wait, and the thread ends when its callback returns. In a forked child it does nothing.
  void stop();

 private:
  // What the thread uses: it may outlive the Client.
  struct Network {
    const FdbApi api;
    std::atomic<bool> running = false;
  };

  Client(const FdbApi& api, Settings settings)
      : network_(std::make_shared<Network>(api)), settings_(std::move(settings)) {}
  Status run();
  Status set_up_network();

  const std::shared_ptr<Network> network_;
  const Settings settings_;
  int api_version_ = 0;
  ForkGuard fork_;
  std::thread thread_;
};

// The process's client: loads the library and starts it at the first call, hands it out later.
// Errors: as load_library and Client::start; unsupported also in a forked child of a process that
// started one; invalid_argument where a store asks for another library or API version than the one
// that runs.
Result<std::shared_ptr<Client>> process_client(const Client::Settings& settings);

// Has the process's client stopped at the process's end before anything is torn down that was made
// up to now. The library keeps static objects that it makes when it first needs them, and that its
// thread still uses when it ends; handlers of the process's end run in reverse order, so this is
// called whenever much has been used: when a store was opened, and when it is closed.
void stop_at_exit();

}  // namespace semper::foundationdb
