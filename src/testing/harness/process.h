// HarnessProcess: one process of a Harness: a loop, a handle on the store, perhaps a host.
//
// It can be lost as by SIGKILL and begun anew; nothing but the store, and the links of its
// Neighbours, connects it to the others.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "semper/server/host.h"
#include "semper/store/store.h"
#include "semper/testing/faulty_backend.h"
#include "testing/harness/points.h"

namespace semper::testing::internal {

class HarnessProcess {
 public:
  struct Options {
    std::string name;
    std::size_t number = 0;
    std::string store_url;
    Env env = {};
    bool has_host = false;
    HostOptions host = {};
    std::function<void(Host&)> serve;
  };

  HarnessProcess(Options options, HarnessPoints& points);
  ~HarnessProcess();

  const std::string& name() const { return options_.name; }
  bool is_up() const { return is_up_; }
  // Precondition of both: is_up().
  Executor executor() { return loop_->get_executor(); }
  const Store& store() const { return *store_; }

  void begin();
  void crash();
  // Runs one handler. False: none is ready.
  bool run_one();

 private:
  Task<void> boot();

  const Options options_;
  HarnessPoints& points_;
  bool is_up_ = false;
  std::unique_ptr<asio::io_context> loop_;
  std::weak_ptr<FaultyBackend> faulty_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Host> host_;
};

}  // namespace semper::testing::internal
