// A host in this process, for tools in others: what answers calls and takes from queues. The file
// hosted.cc has the behaviours.
//
//   Counter     Add (call, cast: the state grows by it), Read
//   Keeper      Hold (call): locks the entity until release()
//   Fragile     Break (cast): always fails, and ends as a dead letter
//   Shape       whose state was once a text, and is a number now: what serve_old_shape() wrote does
//               not decode in a host of serve()
#pragma once

#include <memory>
#include <string>

namespace semper::testing {

class HostedStore {
 public:
  enum class Shapes { old_ones, new_ones };
  // Opens (or makes) the store and serves; a failure of the test where that is not possible.
  explicit HostedStore(const std::string& url, Shapes shapes = Shapes::new_ones);
  ~HostedStore();  // stops the host and closes the store
  HostedStore(const HostedStore&) = delete;
  HostedStore& operator=(const HostedStore&) = delete;

  // Lets every Keeper's lock go.
  void release();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace semper::testing
