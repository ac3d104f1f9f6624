// What leaks under the address sanitizer and is not ours, by name.

// Debian's c-ares, through which gRPC resolves names: a few bytes for each name that it looked up.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() {
  return "leak:libcares.so\n";
}
