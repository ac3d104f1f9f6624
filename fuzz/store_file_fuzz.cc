// A store's files with patches: the database, its log, the log's index, and the sidecar. Opening
// them gives an error or a store, never a crash or a wait without end; a log that was spoilt gives
// the commits up to some point and nothing else; index and sidecar that a crash has left decide
// nothing.
//
// An input: which file, then patches, each with its offset (two bytes) and its bytes.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "backends/sqlite/log_chain.h"
#include "backends/sqlite/process_lock.h"
#include "backends/sqlite/sidecar.h"
#include "backends/sqlite/sqlite.h"
#include "fuzz/fuzz.h"
#include "semper/base/assert.h"
#include "semper/base/log.h"
#include "semper/env/scheduler.h"
#include "semper/store/store.h"

namespace semper::fuzz {
namespace {

namespace files = std::filesystem;

enum Which : std::uint8_t { kDatabase, kLog, kIndex, kSidecar, kSidecarInUse, kFiles };
constexpr std::uint64_t kCommits = 6;
constexpr std::array<const char*, 4> kEndings = {"", "-wal", "-shm", "-semper"};

Bytes contents(const files::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return Bytes((std::istreambuf_iterator<char>(stream)), {});
}

void write(const files::path& file, BytesView bytes) {
  std::ofstream stream(file, std::ios::binary | std::ios::trunc);
  stream.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  SEMPER_ASSERT(bool(stream.flush()), "the folder of the fuzzer takes files");
}

Scheduler& scheduler() {
  static Scheduler one;
  return one;
}

// The folder of this process, and the files of a store in the middle of its life.
class Ground {
 public:
  Ground() {
    std::string pattern = (files::temp_directory_path() / "semper-fuzz-XXXXXX").string();
    SEMPER_ASSERT(::mkdtemp(pattern.data()) != nullptr, "a folder for temporary files");
    folder_ = pattern;
    const auto store = open();
    SEMPER_ASSERT(store.has_value(), "a store of our own opens");
    for (std::uint64_t i = 1; i <= kCommits; ++i) {
      SEMPER_ASSERT(add(**store, i).has_value(), "and takes commits");
    }
    for (std::size_t i = 0; i < kEndings.size(); ++i) good_[i] = contents(path(i));
    static_cast<void>(scheduler().block_on((*store)->close()));
  }
  ~Ground() { files::remove_all(folder_); }

  files::path path(std::size_t which) const {
    return folder_ / ("data.db" + std::string(kEndings[which]));
  }
  const Bytes& good(std::size_t which) const { return good_[which]; }

  void restore() const {
    for (std::size_t i = 0; i < kEndings.size(); ++i) write(path(i), good_[i]);
  }

  Result<std::shared_ptr<Backend>> open() const {
    StoreUrl url;
    url.scheme = "sqlite";
    url.path = path(kDatabase).string();
    return scheduler().block_on(open_sqlite(url, Env()));
  }

  // Row `number`, and how many there are.
  static Status add(Backend& backend, std::uint64_t number) {
    const Store store(std::shared_ptr<Backend>(std::shared_ptr<void>(), &backend), Env());
    return scheduler().block_on(store.transact(
        [](Transaction& tx, const std::uint64_t& n) -> Async<void> {
          tx.set("count", std::to_string(n));
          tx.set("row/" + std::to_string(n), Bytes(300, static_cast<char>('a' + n)));
          co_return Status{};
        },
        number));
  }

  // How many rows there are; an error where they cannot be read. What is there must be a beginning
  // of what was committed.
  static Result<std::uint64_t> count(Backend& backend, bool must_be_whole) {
    const Store store(std::shared_ptr<Backend>(std::shared_ptr<void>(), &backend), Env());
    using Rows = std::vector<KeyValue>;
    const auto rows = scheduler().block_on(store.transact([](Transaction& tx) -> Async<Rows> {
      const KeyRange all{"", "\xff"};
      SEMPER_CO_TRY(auto page, co_await tx.get_range(all));
      co_return std::move(page.rows);
    }));
    if (!rows) return fail(rows.error());
    if (!must_be_whole) return rows->size();
    if (rows->empty()) return 0;
    const std::uint64_t counted = rows->size() - 1;
    SEMPER_ASSERT((*rows)[0].key == "count", "nothing but what was written is there");
    SEMPER_ASSERT((*rows)[0].value == std::to_string(counted), "a commit is there as a whole");
    for (std::uint64_t i = 1; i <= counted; ++i) {
      const auto& row = (*rows)[static_cast<std::size_t>(i)];
      SEMPER_ASSERT(row.key == "row/" + std::to_string(i), "and so are those before it");
      SEMPER_ASSERT(row.value == Bytes(300, static_cast<char>('a' + i)), "as they were");
    }
    return counted;
  }

 private:
  files::path folder_;
  std::array<Bytes, kEndings.size()> good_;
};

const Ground& ground() {
  static const Ground one;
  return one;
}

Bytes patched(Bytes bytes, Parts parts) {
  while (!parts.at_end()) {
    const std::size_t low = parts.octet();
    const std::size_t at = low | static_cast<std::size_t>(parts.octet()) << 8;
    const BytesView patch = parts.piece();
    if (patch.empty()) {
      bytes.resize(std::min(bytes.size(), at));
    } else if (at < bytes.size()) {
      bytes.replace(at, std::min(patch.size(), bytes.size() - at), patch);
    }
  }
  return bytes;
}

// As another process holds it that has the store open.
class Stranger {
 public:
  explicit Stranger(const files::path& file)
      : descriptor_(::open(file.c_str(), O_RDWR | O_CLOEXEC)) {
    struct flock lock {};
    lock.l_type = F_RDLCK;
    lock.l_whence = SEEK_SET;
    lock.l_len = 1;
    SEMPER_ASSERT(::fcntl(descriptor_, F_OFD_SETLK, &lock) == 0, "nobody else holds it");
  }
  ~Stranger() { ::close(descriptor_); }
  Stranger(const Stranger&) = delete;
  Stranger& operator=(const Stranger&) = delete;

 private:
  int descriptor_;
};

void use_store(Which which) {
  const auto store = ground().open();
  if (!store) {
    SEMPER_ASSERT(which == kDatabase || which == kLog, "index and sidecar are made anew");
    SEMPER_ASSERT(!store.error().message().empty(), "what is wrong is said");
    return;
  }
  const bool must_be_whole = which != kDatabase;
  const auto there = Ground::count(**store, must_be_whole);
  if (there && which != kDatabase && which != kLog) {
    SEMPER_ASSERT(*there == kCommits, "nothing was lost");
  }
  const bool added = there && Ground::add(**store, *there + 1).has_value();
  SEMPER_ASSERT(added || which == kDatabase, "it takes commits");
  static_cast<void>(scheduler().block_on((*store)->close()));
  if (!added || which == kDatabase) return;
  const auto again = ground().open();
  SEMPER_ASSERT(again.has_value(), "it opens again");
  SEMPER_ASSERT(Ground::count(**again, true) == *there + 1, "and what was acknowledged is there");
  static_cast<void>(scheduler().block_on((*again)->close()));
}

// Its words are those of other processes, of whom nobody lives: joined or refused, but at once.
void join_sidecar(const Bytes& bytes) {
  using sqlite::SidecarLayout;
  // Who is not ready is waited for, for some seconds.
  if (bytes.size() < sizeof(SidecarLayout)) return;
  std::uint32_t ready = 0;
  std::memcpy(&ready, bytes.data() + offsetof(SidecarLayout, ready), sizeof ready);
  if (ready == 0) return;
  const Stranger stranger(ground().path(kSidecar));
  sqlite::StorePath path;
  path.directory = ground().path(kDatabase).parent_path().string();
  path.file = ground().path(kDatabase).string();
  const auto never = []() -> Result<std::uint64_t> {
    SEMPER_ASSERT(false, "who joins others sets nothing up");
    return 0;
  };
  const auto sidecar = sqlite::Sidecar::open(path, never);
  if (!sidecar) return;
  (*sidecar)->reap_dead_entries();
  std::size_t others = 0;
  (*sidecar)->for_each_other([&](sqlite::SidecarEntry&) { ++others; });
  SEMPER_ASSERT(others == 0, "the dead are not counted");
  for (auto* word : {&(*sidecar)->shared().turn, &(*sidecar)->shared().flush}) {
    sqlite::ProcessLock lock(**sidecar, *word);
    int attempts = 0;
    while (!lock.try_take() && lock.take_or_wait() == sqlite::ProcessLock::Taken::no) {
      SEMPER_ASSERT(++attempts < 10, "a lock of the dead is passed on");
    }
    lock.let_go(sqlite::ProcessLock::Wake::all);
  }
}

}  // namespace

std::vector<Bytes> seeds() {
  std::vector<Bytes> made;
  for (std::uint8_t which = 0; which < kFiles; ++which) {
    // Where headers, frames and shared words lie.
    for (const std::size_t at : {0, 24, 40, 100, 192, 1080, 4096}) {
      Bytes input(1, static_cast<char>(which));
      input.push_back(static_cast<char>(at & 0xff));
      input.push_back(static_cast<char>(at >> 8));
      append_piece(input, Bytes("\x00\x01\xff\x7f", at % 3 + 1));
      made.push_back(input);
    }
    made.emplace_back(1, static_cast<char>(which));
  }
  return made;
}

void check(BytesView input) {
  set_log_level(LogLevel::off);
  Parts parts(input);
  const auto which = static_cast<Which>(parts.octet() % kFiles);
  const std::size_t file = std::min<std::size_t>(which, kSidecar);
  const Bytes spoilt = patched(ground().good(file), parts);
  ground().restore();
  write(ground().path(file), spoilt);
  if (which == kSidecarInUse) return join_sidecar(spoilt);
  sqlite::StorePath path;
  path.directory = ground().path(kDatabase).parent_path().string();
  path.file = ground().path(kDatabase).string();
  static_cast<void>(sqlite::check_log(path));
  use_store(which);
}

}  // namespace semper::fuzz
