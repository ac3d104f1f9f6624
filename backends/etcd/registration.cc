// Makes etcd: known to open_store in every program that is linked with semper::etcd.
//
// The symbol is asked for by the target's link options (CMakeLists.txt, SemperInstall.cmake):
// nothing else in a program names this backend, so the linker would leave it out of an archive.
#include "backends/etcd/etcd.h"

extern "C" const bool semper_backend_etcd;
const bool semper_backend_etcd = [] {
  semper::register_backend("etcd", semper::open_etcd);
  return true;
}();
