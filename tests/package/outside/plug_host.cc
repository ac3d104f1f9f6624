// Loads the plug-in as a program that knows nothing of Semper would.
#include <dlfcn.h>

#include <cstdio>

int main(int argc, char** argv) {
  void* library = argc == 3 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : nullptr;
  if (library == nullptr) {
    std::fprintf(stderr, "%s\n", argc == 3 ? dlerror() : "usage: plug_host LIBRARY URL");
    return 1;
  }
  using Use = int (*)(const char*);
  const auto use = reinterpret_cast<Use>(dlsym(library, "plug_use_store"));
  if (use == nullptr) return 1;
  std::printf("the plug-in says %d\n", use(argv[2]));
  return 0;
}
