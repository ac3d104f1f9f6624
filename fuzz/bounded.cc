// Runs a fuzz target without libFuzzer: its seeds, and mutations of them, drawn from a seed.
//
//   cbor_fuzz                            # as the test does
//   cbor_fuzz --rounds 1000000 --seed 7
//   cbor_fuzz FILE...                    # inputs that a fuzzer has found
//
// An input that crashes, hangs or takes too much memory is left in a file, whose name is printed.
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <new>
#include <string>
#include <string_view>

#include "fuzz/fuzz.h"
#include "fuzz/mutate.h"
#include "semper/env/random.h"

namespace {

// Of one input, of the processor's time: everything that reads takes time in proportion to it.
constexpr int kSecondsOfAnInput = 20;
constexpr std::uint64_t kRounds = 10'000;
constexpr std::size_t kInputMaximum = std::size_t{256} << 10;
// At once, of one input: what is announced but not there costs nothing.
constexpr std::size_t kMemoryMaximum = std::size_t{64} << 20;

std::atomic<std::size_t> memory{0};
std::atomic<bool> is_counting{false};

const semper::Bytes* present = nullptr;
char where[256] = "";

// From a signal's handler, so with system calls alone.
void keep_input() {
  if (present == nullptr) return;
  const int file = ::open(where, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file >= 0) {
    static_cast<void>(::write(file, present->data(), present->size()));
    ::close(file);
  }
  for (const char* part : {"\nthe input is in ", static_cast<const char*>(where), "\n"}) {
    static_cast<void>(::write(STDERR_FILENO, part, std::strlen(part)));
  }
  present = nullptr;
}

void on_signal(int number) {
  keep_input();
  ::signal(number, SIG_DFL);
  ::raise(number);
}

void run(const semper::Bytes& input) {
  present = &input;
  const struct itimerval limit {
    {0, 0}, { kSecondsOfAnInput, 0 }
  };
  ::setitimer(ITIMER_VIRTUAL, &limit, nullptr);
  memory = 0;
  is_counting = true;
  semper::fuzz::check(input);
  is_counting = false;
  present = nullptr;
}

bool number(std::string_view text, std::uint64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

int usage(const char* program) {
  std::fprintf(stderr, "usage: %s [--rounds N] [--seed S] [FILE...]\n", program);
  return 2;
}

}  // namespace

// Counted while an input runs. What is freed by others than its maker is counted there: the borders
// are wide.
void* operator new(std::size_t size) {
  void* made = std::malloc(size == 0 ? 1 : size);
  if (made == nullptr) throw std::bad_alloc();
  if (is_counting.load(std::memory_order_relaxed)) {
    const std::size_t real = ::malloc_usable_size(made);
    const std::size_t now = memory.fetch_add(real) + real;
    // A free of what was made before has wrapped it: then nothing is known.
    if (now > kMemoryMaximum && now < (std::size_t{1} << 62)) {
      is_counting = false;
      std::fprintf(stderr, "an input takes more than %zu MiB of memory\n", kMemoryMaximum >> 20);
      std::abort();
    }
  }
  return made;
}
void operator delete(void* made) noexcept {
  if (made != nullptr && is_counting.load(std::memory_order_relaxed)) {
    memory.fetch_sub(::malloc_usable_size(made));
  }
  std::free(made);
}
void operator delete(void* made, std::size_t) noexcept {
  operator delete(made);
}
// Under the address sanitizer these are not made of the ones above, as the standard has it.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  try {
    return operator new(size);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void operator delete(void* made, const std::nothrow_t&) noexcept {
  operator delete(made);
}

int main(int argc, char** argv) {
  std::uint64_t rounds = kRounds;
  std::uint64_t seed = 0;
  const char* given = std::getenv("SEMPER_TEST_SEED");
  if (given == nullptr || !number(given, seed)) seed = semper::system_random().below(1'000'000'000);
  std::vector<std::string> files;
  for (int i = 1; i < argc; ++i) {
    const std::string_view option = argv[i];
    const bool has_value = option == "--rounds" || option == "--seed";
    if (!has_value && option.starts_with("--")) return usage(argv[0]);
    if (!has_value) {
      files.emplace_back(option);
    } else if (++i == argc || !number(argv[i], option == "--seed" ? seed : rounds)) {
      return usage(argv[0]);
    }
  }
  const std::string_view path = argv[0];
  const std::string name(path.substr(path.rfind('/') + 1));
  std::snprintf(where, sizeof where, "%s-%d.input", name.c_str(), static_cast<int>(::getpid()));
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGVTALRM}) {
    ::signal(signal, on_signal);
  }
  for (const auto& file : files) {
    std::ifstream stream(file, std::ios::binary);
    const semper::Bytes input((std::istreambuf_iterator<char>(stream)), {});
    if (!stream) return std::fprintf(stderr, "cannot read %s\n", file.c_str()), 2;
    run(input);
  }
  if (!files.empty()) return 0;
  std::printf("seed %llu (SEMPER_TEST_SEED=%llu replays it)\n",
              static_cast<unsigned long long>(seed), static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  const std::vector<semper::Bytes> seeds = semper::fuzz::seeds();
  for (const auto& input : seeds) run(input);
  semper::SeededRandom random(seed);
  for (std::uint64_t round = 0; round < rounds; ++round) {
    run(semper::fuzz::mutate(random, seeds, kInputMaximum));
  }
  std::printf("%zu seeds, %llu mutations\n", seeds.size(), static_cast<unsigned long long>(rounds));
  return 0;
}
