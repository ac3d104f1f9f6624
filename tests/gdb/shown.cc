// What tests/gdb looks at: a value of each kind that tools/gdb/semper_printers.py knows.
#include "semper/base/bytes.h"
#include "semper/base/result.h"

namespace {

int looked_at = 0;

// gdb stops here, and looks at the caller.
__attribute__((noinline)) void stop_here() {
  ++looked_at;
}

}  // namespace

int main() {
  const semper::Result<int> port = 80;
  const semper::Result<int> refused =
      semper::fail(semper::ErrorKind::not_found, "no \"store\" at /data");
  const semper::Status done;
  const semper::Status full = semper::fail(semper::ErrorKind::retry,
                                           semper::Limit{"kOutboxBytes", 64}, "the queue is full");
  const semper::Error error(semper::ErrorKind::corrupt, "torn");
  const semper::Bytes key("k\0\xff", 3);
  const semper::BytesView part = semper::BytesView(key).substr(0, 1);
  const semper::Bytes& by_reference = key;
  const semper::Result<semper::Bytes> read = key;
  stop_here();
  // Used, so that the compiler keeps them.
  const bool is_as_made = port && !refused && done && !full && !error.limit() && part.size() == 1 &&
                          by_reference.size() == 3 && read;
  return is_as_made ? 0 : 1;
}
