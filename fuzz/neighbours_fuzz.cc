// Any bytes, in any pieces, at the socket on which a store listens for other processes: whoever
// does not know what the store's users know is not heard, and of a link exactly the whole messages
// are heard, in order, up to the first that announces more than there may be.
//
// An input: how it begins (a hello of ours; bytes with or without our secret), then pieces, each
// written on its own.
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <thread>

#include "backends/sqlite/link_socket.h"
#include "backends/sqlite/sidecar.h"
#include "backends/sqlite/sqlite.h"
#include "fuzz/fuzz.h"
#include "semper/base/assert.h"
#include "semper/base/log.h"
#include "semper/env/scheduler.h"
#include "semper/store/neighbours.h"
#include "semper/testing/simulated_clock.h"

namespace semper::fuzz {
namespace {

namespace files = std::filesystem;
using sqlite::Hello;
using sqlite::kHelloHeadBytes;

constexpr const char* kTopic = "topic";
constexpr auto kPatience = std::chrono::seconds(15);
// Where a hello has its secret.
constexpr std::size_t kSecretAt = 12;

// What one link has heard.
class Heard final : public NeighbourReceiver {
 public:
  void on_message(Bytes message) override {
    std::lock_guard lock(mutex_);
    messages_.push_back(std::move(message));
  }
  void on_end(const Error&) override {
    std::lock_guard lock(mutex_);
    has_ended_ = true;
    changed_.notify_all();
  }
  std::vector<Bytes> all() {
    std::unique_lock lock(mutex_);
    SEMPER_ASSERT(changed_.wait_for(lock, kPatience, [&] { return has_ended_; }),
                  "a link ends when the other end does");
    return messages_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool has_ended_ = false;
  std::vector<Bytes> messages_;
};

// A store that listens, and what its sidecar says to those that may read it.
class Listener {
 public:
  Listener() {
    std::string pattern = (files::temp_directory_path() / "semper-fuzz-XXXXXX").string();
    SEMPER_ASSERT(::mkdtemp(pattern.data()) != nullptr, "a folder for temporary files");
    folder_ = pattern;
    StoreUrl url;
    url.scheme = "sqlite";
    url.path = (folder_ / "data.db").string();
    // Time stands still: who is slow, as under a debugger, is not let go for that.
    auto opened = scheduler_.block_on(open_sqlite(url, Env{&clock_, &system_random()}));
    SEMPER_ASSERT(opened.has_value(), "a store of our own opens");
    store_ = std::move(*opened);
    auto listening = dynamic_cast<Neighbours&>(*store_).listen(
        kTopic, [this](std::shared_ptr<NeighbourLink> link) { return take(std::move(link)); });
    SEMPER_ASSERT(listening.has_value(), "and listens");
    listening_ = std::move(*listening);
    sqlite::StorePath path;
    path.directory = folder_.string();
    path.file = url.path;
    auto sidecar = sqlite::Sidecar::open(path, [] { return Result<std::uint64_t>(0); });
    SEMPER_ASSERT(sidecar.has_value(), "others may join");
    sidecar_ = std::move(*sidecar);
    sidecar_->for_each_other([&](sqlite::SidecarEntry& entry) {
      const auto& entries = sidecar_->shared().entries;
      hello_.entry = static_cast<std::uint32_t>(&entry - entries.data());
      for (std::size_t i = 0; i < name_.size(); ++i) name_[i] = entry.socket_name[i];
      for (std::size_t i = 0; i < hello_.secret.size(); ++i) {
        hello_.secret[i] = entry.socket_secret[i];
      }
    });
    hello_.topic = kTopic;
  }
  ~Listener() {
    listening_.reset();
    sidecar_.reset();
    static_cast<void>(scheduler_.block_on(store_->close()));
    files::remove_all(folder_);
  }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  const Hello& hello() const { return hello_; }
  sqlite::Socket connect() const {
    auto socket = sqlite::connect_to(name_);
    SEMPER_ASSERT(socket.has_value(), "it is there");
    return std::move(*socket);
  }
  // The link that was taken since the last call, if one was.
  std::shared_ptr<Heard> last() {
    std::lock_guard lock(mutex_);
    link_.reset();
    return std::exchange(heard_, nullptr);
  }

  // Whether who says this may be heard, as the sidecar has it.
  bool is_user(const Hello& hello) const {
    if (hello.entry >= sqlite::kHandlesMaximum) return false;
    const auto& entry = sidecar_->shared().entries[hello.entry];
    return ::geteuid() == 0 || (entry.in_use != 0 && entry.user == ::geteuid());
  }

 private:
  std::shared_ptr<NeighbourReceiver> take(std::shared_ptr<NeighbourLink> link) {
    std::lock_guard lock(mutex_);
    link_ = std::move(link);
    heard_ = std::make_shared<Heard>();
    return heard_;
  }

  files::path folder_;
  testing::SimulatedClock clock_;
  Scheduler scheduler_;
  std::shared_ptr<Backend> store_;
  std::unique_ptr<Neighbours::Listening> listening_;
  std::unique_ptr<sqlite::Sidecar> sidecar_;
  sqlite::SocketName name_{};
  Hello hello_;
  std::mutex mutex_;
  std::shared_ptr<Heard> heard_;
  std::shared_ptr<NeighbourLink> link_;
};

Listener& listener() {
  static Listener one;
  return one;
}

enum Beginning : std::uint8_t { kOurHello, kTheirsWithSecret, kTheirs, kBeginnings };

// The pieces as they are written.
std::vector<Bytes> pieces_of(BytesView input) {
  Parts parts(input);
  const auto beginning = static_cast<Beginning>(parts.octet() % kBeginnings);
  std::vector<Bytes> pieces;
  if (beginning == kOurHello) pieces.push_back(encode(listener().hello()));
  while (!parts.at_end()) pieces.emplace_back(parts.piece());
  const auto& secret = listener().hello().secret;
  if (beginning == kTheirsWithSecret && pieces.size() > 0 && pieces[0].size() >= kHelloHeadBytes) {
    std::memcpy(pieces[0].data() + kSecretAt, secret.data(), sizeof secret);
  }
  return pieces;
}

// How many bytes of it are a hello that opens a link; none: nothing is heard.
std::size_t opening(BytesView said) {
  if (said.size() < kHelloHeadBytes) return 0;
  const auto size = sqlite::hello_bytes(said.substr(0, kHelloHeadBytes));
  if (!size || said.size() < *size) return 0;
  const auto hello = sqlite::decode_hello(said.substr(0, *size));
  const bool is_known = sqlite::are_equal(hello.secret, listener().hello().secret);
  return is_known && listener().is_user(hello) && hello.topic == kTopic ? *size : 0;
}

std::vector<Bytes> messages_in(BytesView said) {
  std::vector<Bytes> messages;
  std::uint32_t size = 0;
  while (said.size() >= sizeof size) {
    std::memcpy(&size, said.data(), sizeof size);
    said.remove_prefix(sizeof size);
    if (size > kNeighbourMessageBytes || said.size() < size) break;
    messages.emplace_back(said.substr(0, size));
    said.remove_prefix(size);
  }
  return messages;
}

// False: the other end does not listen any more.
bool write_all(const sqlite::Socket& socket, BytesView piece) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!piece.empty()) {
    const auto written = ::send(socket.number(), piece.data(), piece.size(), MSG_NOSIGNAL);
    if (written > 0) piece.remove_prefix(static_cast<std::size_t>(written));
    if (written < 0 && errno != EAGAIN && errno != EINTR) return false;
    SEMPER_ASSERT(std::chrono::steady_clock::now() < deadline, "what is sent is taken");
  }
  return true;
}

void wait_until_closed(const sqlite::Socket& socket) {
  ::shutdown(socket.number(), SHUT_WR);
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  char byte = 0;
  while (true) {
    const auto got = ::recv(socket.number(), &byte, 1, MSG_DONTWAIT);
    SEMPER_ASSERT(got <= 0, "nobody answers");
    if (got == 0 || errno == ECONNRESET) return;
    SEMPER_ASSERT(std::chrono::steady_clock::now() < deadline, "who has said all is let go");
    std::this_thread::yield();
  }
}

Bytes framed(BytesView message) {
  const auto size = static_cast<std::uint32_t>(message.size());
  Bytes bytes(sizeof size, '\0');
  std::memcpy(bytes.data(), &size, sizeof size);
  return bytes.append(message);
}

Bytes input_of(Beginning beginning, const std::vector<Bytes>& pieces) {
  Bytes made(1, static_cast<char>(beginning));
  for (const auto& piece : pieces) append_piece(made, piece);
  return made;
}

}  // namespace

std::vector<Bytes> seeds() {
  Hello hello;
  hello.entry = 0;
  hello.topic = kTopic;
  Hello other = hello;
  other.topic = std::string(255, 't');
  const Bytes said = encode(hello);
  const Bytes one = framed("hello");
  const Bytes large = framed(Bytes(60'000, 'm'));
  return {input_of(kOurHello, {one, framed(""), large}),
          input_of(kOurHello, {large, large, large + one}),
          input_of(kOurHello, {one.substr(0, 2), one.substr(2, 4), one.substr(6)}),
          input_of(kOurHello, {one, Bytes("\xff\xff\xff\xff", 4), one}),
          input_of(kOurHello, {Bytes("\x00\x00\x00\x01", 4), Bytes(100, 'x')}),
          input_of(kOurHello, {}),
          input_of(kTheirsWithSecret, {said + one + one}),
          input_of(kTheirsWithSecret, {said.substr(0, kHelloHeadBytes), said.substr(45), one}),
          input_of(kTheirsWithSecret, {encode(other)}),
          input_of(kTheirs, {said, one}),
          input_of(kTheirs, {said.substr(0, 20)})};
}

void check(BytesView input) {
  set_log_level(LogLevel::off);
  const auto pieces = pieces_of(input);
  Bytes all;
  {
    const auto socket = listener().connect();
    bool is_heard = true;
    for (const auto& piece : pieces) {
      is_heard = is_heard && write_all(socket, piece);
      all += piece;
    }
    wait_until_closed(socket);
  }
  const auto hello = opening(all);
  const auto heard = listener().last();
  SEMPER_ASSERT((heard != nullptr) == (hello > 0), "who may be heard is heard, and nobody else");
  if (heard == nullptr) return;
  SEMPER_ASSERT(heard->all() == messages_in(BytesView(all).substr(hello)),
                "the whole messages come, each once, in order");
}

}  // namespace semper::fuzz
