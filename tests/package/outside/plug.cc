// A plug-in (a language binding, a server's module): the installed archives in a shared library.
#include <string>

#include "semper/semper.h"

namespace {

// A function of C++, because g++ 12 names two coroutines alike where the function around them is C.
int use_store(const char* url) {
  semper::Scheduler scheduler;
  auto store = scheduler.block_on(semper::open_store(url));
  if (!store) return 1;
  const auto write = [](semper::Transaction& transaction) -> semper::Async<void> {
    transaction.set("from", "a plug-in");
    co_return semper::Status();
  };
  if (!scheduler.block_on(store->transact(write))) return 2;
  return scheduler.block_on(store->close()) ? 0 : 3;
}

}  // namespace

// 0: the store could be opened, written and closed.
extern "C" int plug_use_store(const char* url) {
  return use_store(url);
}
