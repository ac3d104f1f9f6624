// What others can do to the links between the processes of a store, and what they cannot.
#include "neighbours.h"

#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <sstream>
#include <thread>

#include "env/sanitizer_test_support.h"
#include "parts_test_support.h"
#include "semper/testing/child_process.h"
#include "semper/testing/simulated_clock.h"

namespace semper::sqlite {
namespace {

using namespace std::chrono_literals;
using testing::child_argument;
using testing::ChildProcess;
using testing::hear;
using testing::say;
using testing::wait_until;

constexpr const char* kTopic = "topic";
// No such user is needed, only the number.
constexpr uid_t kStranger = 47113;

// Keeps what comes.
class LinkRecorder final : public NeighbourReceiver {
 public:
  std::shared_ptr<NeighbourLink> link;
  std::function<void(const Bytes&)> then = [](const Bytes&) {};

  void on_message(Bytes message) override {
    then(message);
    std::lock_guard lock(mutex_);
    calls_.push_back(std::move(message));
  }
  void on_end(const Error& why) override {
    std::lock_guard lock(mutex_);
    calls_.push_back("end: " + std::string(to_string(why.kind())));
  }
  std::vector<std::string> calls() const {
    std::lock_guard lock(mutex_);
    return calls_;
  }
  bool has_ended() const {
    const auto all = calls();
    return !all.empty() && all.back().starts_with("end: ");
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> calls_;
};

using Calls = std::vector<std::string>;

// Takes every link.
class LinkListener {
 public:
  explicit LinkListener(const Store& store, std::string topic = kTopic) {
    auto accept = [this](std::shared_ptr<NeighbourLink> link) {
      auto taken = std::make_shared<LinkRecorder>();
      taken->link = std::move(link);
      taken->then = then;
      std::lock_guard lock(mutex_);
      taken_.push_back(taken);
      return taken;
    };
    listening_ = find_neighbours(store)->listen(std::move(topic), std::move(accept)).value();
  }
  ~LinkListener() { listening_.reset(); }

  std::shared_ptr<LinkRecorder> taken(std::size_t number = 0) {
    EXPECT_TRUE(wait_until([&] { return count() > number; }));
    std::lock_guard lock(mutex_);
    return taken_.at(number);
  }
  std::size_t count() const {
    std::lock_guard lock(mutex_);
    return taken_.size();
  }
  std::function<void(const Bytes&)> then = [](const Bytes&) {};

 private:
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<LinkRecorder>> taken_;
  std::unique_ptr<Neighbours::Listening> listening_;
};

struct Connected {
  std::shared_ptr<LinkRecorder> answers = std::make_shared<LinkRecorder>();
  std::shared_ptr<NeighbourLink> link;
};
Connected connect(const Store& store) {
  Connected made;
  made.link = find_neighbours(store)->connect(kTopic, made.answers).value();
  return made;
}

// What stands in the sidecar about who listens.
struct Published {
  std::size_t entry = 0;
  SocketName name{};
  SocketSecret secret{};
};
Published published(const std::string& file) {
  Published found;
  const auto sidecar = open_sidecar(file);
  auto& entries = sidecar->shared().entries;
  for (auto& entry : entries) {
    if (entry.in_use.load() == 0 || entry.topics_used.load() == 0) continue;
    found.entry = static_cast<std::size_t>(&entry - entries.data());
    for (std::size_t i = 0; i < found.name.size(); ++i) found.name[i] = entry.socket_name[i];
    for (std::size_t i = 0; i < found.secret.size(); ++i) found.secret[i] = entry.socket_secret[i];
  }
  return found;
}

void write_to(const Socket& socket, const Bytes& bytes) {
  EXPECT_EQ(::send(socket.number(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(bytes.size()));
}

// Whether the other end closes the connection, and says nothing before.
bool is_closed(const Socket& socket) {
  char byte = 0;
  ssize_t got = -1;
  const bool has_changed = wait_until([&] {
    got = ::recv(socket.number(), &byte, 1, MSG_DONTWAIT);
    return got >= 0 || errno != EAGAIN;
  });
  return has_changed && got <= 0;
}

class SqliteNeighbours : public ::testing::Test {
 protected:
  Socket call() const { return connect_to(published(place_.file()).name).value(); }
  Hello hello() const {
    const auto of = published(place_.file());
    Hello made;
    made.entry = static_cast<std::uint32_t>(of.entry);
    made.secret = of.secret;
    made.topic = kTopic;
    return made;
  }

  TestPlace place_;
};

TEST_F(SqliteNeighbours, nothing_is_there_before_it_is_used_and_no_file_afterwards) {
  const auto threads = [] {
    std::size_t count = 0;
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
      std::ifstream name(task.path() / "comm");
      std::string text;
      std::getline(name, text);
      count += text == "semper-link" ? 1 : 0;
    }
    return count;
  };
  const Store store = must_open(place_.url());
  const Store other = must_open(place_.url());
  const std::string before = place_.listing();
  EXPECT_FALSE(find_neighbours(other)->has_listener(kTopic));
  EXPECT_FALSE(find_neighbours(other)->connect(kTopic, std::make_shared<LinkRecorder>()));
  EXPECT_EQ(threads(), 0u);
  LinkListener listener(store);
  const auto caller = connect(other);
  EXPECT_TRUE(caller.link->send("1"));
  EXPECT_TRUE(wait_until([&] { return listener.taken()->calls() == Calls{"1"}; }));
  EXPECT_TRUE(wait_until([&] { return threads() == 2; }));  // a new one has another's name at first
  EXPECT_EQ(place_.listing(), before);
  EXPECT_TRUE(wait_for(store.close()));
  EXPECT_TRUE(wait_for(other.close()));
  EXPECT_TRUE(wait_until([&] { return threads() == 0; }));
}

TEST_F(SqliteNeighbours, switched_off_there_are_none) {
  const Store listening = must_open(place_.url());
  const LinkListener listener(listening);
  const Store store = must_open(place_.url("neighbours=off"));
  EXPECT_EQ(store.url(), listening.url());
  auto& neighbours = *find_neighbours(store);
  EXPECT_FALSE(neighbours.has_listener(kTopic));
  const auto answers = std::make_shared<LinkRecorder>();
  EXPECT_EQ(neighbours.connect(kTopic, answers).error().kind(), ErrorKind::not_found);
  const auto nobody = [](const auto&) { return std::shared_ptr<LinkRecorder>(); };
  const auto refused = neighbours.listen(kTopic, nobody);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::unsupported);
  EXPECT_NE(refused.error().message().find("neighbours=off"), std::string::npos);
  const auto wrong = open_store_at(place_.url("neighbours=on"));
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().kind(), ErrorKind::invalid_argument);
}

TEST_F(SqliteNeighbours, who_opens_it_for_reading_has_none) {
  const Store listening = must_open(place_.url());
  const LinkListener listener(listening);
  const Store store = must_open(place_.url("access=read"));
  auto& neighbours = *find_neighbours(store);
  EXPECT_FALSE(neighbours.has_listener(kTopic));
  const auto nobody = [](const auto&) { return std::shared_ptr<LinkRecorder>(); };
  EXPECT_EQ(neighbours.listen(kTopic, nobody).error().kind(), ErrorKind::unsupported);
}

TEST_F(SqliteNeighbours, who_knows_the_secret_and_writes_the_store_is_heard) {
  const Store store = must_open(place_.url());
  LinkListener listener(store);
  const auto socket = call();
  write_to(socket, encode(hello()) + Bytes("\2\0\0\0hi", 6));
  EXPECT_TRUE(wait_until([&] { return listener.taken()->calls() == Calls{"hi"}; }));
}

TEST_F(SqliteNeighbours, who_says_something_wrong_is_shut_out) {
  const Store store = must_open(place_.url());
  LinkListener listener(store);
  auto wrong_secret = hello();
  wrong_secret.secret[3] ^= 1;
  auto no_secret = hello();
  no_secret.secret = {};
  auto other_topic = hello();
  other_topic.topic = "another";
  auto no_entry = hello();
  no_entry.entry = 0xffffffff;
  Bytes other_version = encode(hello());
  other_version[7] = 2;
  const Bytes all[] = {
      encode(wrong_secret), encode(no_secret),
      encode(other_topic),  encode(no_entry),
      other_version,        Bytes(1000, '\xff'),
      Bytes(1000, '\0'),    "GET / HTTP/1.1\r\nHost: localhost and so on, at length"};
  for (const auto& said : all) {
    const auto socket = call();
    write_to(socket, said);
    ASSERT_TRUE(is_closed(socket)) << said;
  }
  EXPECT_EQ(listener.count(), 0u);
}

TEST_F(SqliteNeighbours, a_length_of_four_gibibytes_ends_the_link_and_takes_no_memory) {
  const Store store = must_open(place_.url());
  LinkListener listener(store);
  const auto socket = call();
  write_to(socket, encode(hello()) + Bytes(8, '\xff'));
  // The caller sees its connection closed a moment before the listener hears why.
  ASSERT_TRUE(is_closed(socket));
  EXPECT_TRUE(wait_until([&] { return listener.taken()->calls() == Calls{"end: io"}; }));
  // The most is taken; one more is not.
  const auto over = call();
  write_to(over, encode(hello()) + Bytes("\1\0\0\1", 4));
  ASSERT_TRUE(is_closed(over));
  EXPECT_TRUE(wait_until([&] { return listener.taken(1)->calls() == Calls{"end: io"}; }));
}

TEST_F(SqliteNeighbours, a_hello_and_a_message_may_come_byte_by_byte) {
  const Store store = must_open(place_.url());
  LinkListener listener(store);
  const auto socket = call();
  for (const char byte : encode(hello()) + Bytes("\2\0\0\0hi\0\0\0\0\1\0\0\0!", 15)) {
    write_to(socket, Bytes(1, byte));
    std::this_thread::yield();
  }
  EXPECT_TRUE(wait_until([&] { return listener.taken()->calls() == Calls{"hi", "", "!"}; }));
}

TEST_F(SqliteNeighbours, who_does_not_finish_its_hello_in_time_is_shut_out) {
  testing::SimulatedClock clock;
  SeededRandom random(1);
  const Store store = must_open(place_.url(), Env{&clock, &random});
  LinkListener listener(store);
  const auto silent = call();
  const auto slow = call();
  write_to(slow, encode(hello()).substr(0, 20));
  const auto in_time = call();
  write_to(in_time, encode(hello()));
  static_cast<void>(listener.taken());
  EXPECT_TRUE(wait_until([&] { return clock.pending_timers() >= 2; }));
  clock.advance(kHelloPatience - 1ms);
  char byte = 0;
  EXPECT_LT(::recv(slow.number(), &byte, 1, MSG_DONTWAIT), 0);
  clock.advance(1ms);
  EXPECT_TRUE(is_closed(silent));
  EXPECT_TRUE(is_closed(slow));
  write_to(in_time, Bytes("\2\0\0\0hi", 6));
  EXPECT_TRUE(wait_until([&] { return listener.taken()->calls() == Calls{"hi"}; }));
}

TEST_F(SqliteNeighbours, many_who_say_nothing_keep_nobody_out) {
  testing::SimulatedClock clock;
  SeededRandom random(1);
  const Store store = must_open(place_.url(), Env{&clock, &random});
  LinkListener listener(store);
  std::vector<Socket> silent;
  for (std::size_t i = 0; i < 3 * kUnfinishedLinks; ++i) {
    silent.push_back(call());
    if (i >= kUnfinishedLinks) {
      ASSERT_TRUE(is_closed(silent[i - kUnfinishedLinks]));
    }
  }
  const auto socket = call();
  write_to(socket, encode(hello()));
  static_cast<void>(listener.taken());
}

// "NAME0 NAME1 ENTRY SECRET0..3": as a user who may read the sidecar, and not write it.
SEMPER_CHILD(connects_as_a_stranger) {
  std::istringstream words(child_argument());
  SocketName name{};
  Hello hello;
  words >> name[0] >> name[1] >> hello.entry;
  for (auto& word : hello.secret) words >> word;
  hello.topic = kTopic;
  ASSERT_EQ(::setgroups(0, nullptr), 0);
  ASSERT_EQ(::setresuid(kStranger, kStranger, kStranger), 0);
  const auto socket = connect_to(name);
  ASSERT_TRUE(socket) << socket.error().to_string();
  const Bytes said = encode(hello);
  static_cast<void>(::send(socket->number(), said.data(), said.size(), MSG_NOSIGNAL));
  say(is_closed(*socket) ? "closed" : "open");
}

TEST_F(SqliteNeighbours, who_may_only_read_the_secret_is_shut_out) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can act as several users";
  const Store store = must_open(place_.url());
  LinkListener listener(store);
  const auto of = published(place_.file());
  std::ostringstream told;
  told << of.name[0] << " " << of.name[1] << " " << of.entry;
  for (const auto word : of.secret) told << " " << word;
  ChildProcess child("connects_as_a_stranger", told.str());
  EXPECT_EQ(child.read_line(), "closed");
  EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(listener.count(), 0u);
}

// Takes the name of a process that has ended, as a stranger.
SEMPER_CHILD(listens_as_a_stranger) {
  ASSERT_EQ(::setgroups(0, nullptr), 0);
  ASSERT_EQ(::setresuid(kStranger, kStranger, kStranger), 0);
  const auto socket = listen_as({1, 2});
  ASSERT_TRUE(socket) << socket.error().to_string();
  say("listening");
  hear();
  const auto taken = accept_from(*socket);
  ASSERT_TRUE(taken);
  if (!taken->is_open()) return say("nobody");
  say(is_closed(*taken) ? "nothing" : "a hello");
}

TEST_F(SqliteNeighbours, who_takes_the_name_of_another_gets_no_hello) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can act as several users";
  const Store store = must_open(place_.url());
  ChildProcess child("listens_as_a_stranger", "");
  ASSERT_EQ(child.read_line(), "listening");
  const auto gone = open_sidecar(place_.file());
  auto& entry = gone->mine();
  entry.socket_name[0] = 1;
  entry.socket_name[1] = 2;
  {
    // The hash of the topic, as a listener has it.
    const Store other = must_open(place_.url());
    const LinkListener listener(other);
    for (auto& one : gone->shared().entries) {
      if (one.topics_used.load() != 0) entry.topics[0] = one.topics[0].load();
    }
  }
  entry.topics_used = 1;
  ASSERT_TRUE(find_neighbours(store)->has_listener(kTopic));
  const auto answers = std::make_shared<LinkRecorder>();
  const auto link = find_neighbours(store)->connect(kTopic, answers);
  ASSERT_FALSE(link);
  EXPECT_EQ(link.error().kind(), ErrorKind::not_found);
  child.tell("x");
  EXPECT_EQ(child.read_line(), "nothing");
  EXPECT_EQ(child.wait(), 0);
}

// Answers "ping", and "count" with the bytes that have come.
void listen_until_told() {
  const Store store = must_open(child_argument());
  std::mutex mutex;
  std::vector<std::shared_ptr<LinkRecorder>> taken;
  std::atomic<std::uint64_t> bytes = 0;
  auto accept = [&](std::shared_ptr<NeighbourLink> link) {
    auto one = std::make_shared<LinkRecorder>();
    one->link = link;
    one->then = [&, held = std::weak_ptr<NeighbourLink>(link)](const Bytes& message) {
      bytes += message.size();
      if (message == "ping") static_cast<void>(held.lock()->send("pong"));
      if (message == "count") static_cast<void>(held.lock()->send(std::to_string(bytes)));
    };
    std::lock_guard lock(mutex);
    taken.push_back(one);
    return one;
  };
  const auto listening = find_neighbours(store)->listen(kTopic, accept);
  ASSERT_TRUE(listening) << listening.error().to_string();
  say("listening");
  hear();
}

SEMPER_CHILD(listens) {
  listen_until_told();
}

SEMPER_CHILD(listens_in_a_network_of_its_own) {
  if (::unshare(CLONE_NEWNET) != 0) return say("refused");
  listen_until_told();
}

TEST_F(SqliteNeighbours, a_process_in_a_network_of_its_own_is_out_of_reach_and_holds_up_nobody) {
  const Store store = must_open(place_.url());
  ChildProcess child("listens_in_a_network_of_its_own", place_.url());
  const std::string said = child.read_line().value_or("");
  if (said == "refused") GTEST_SKIP() << "only root can make a network namespace";
  ASSERT_EQ(said, "listening");
  const auto answers = std::make_shared<LinkRecorder>();
  const auto link = find_neighbours(store)->connect(kTopic, answers);
  ASSERT_FALSE(link);
  EXPECT_EQ(link.error().kind(), ErrorKind::not_found);
  EXPECT_TRUE(answers->calls().empty());
  // Others are found all the same.
  const Store other = must_open(place_.url());
  LinkListener listener(other);
  for (std::size_t i = 0; i < 20; ++i) {
    const auto caller = connect(store);
    EXPECT_TRUE(caller.link->send("1"));
    EXPECT_TRUE(wait_until([&] { return listener.taken(i)->calls() == Calls{"1"}; }));
  }
}

TEST_F(SqliteNeighbours, a_killed_process_ends_its_links_and_is_found_no_more) {
  const Store store = must_open(place_.url());
  ChildProcess child("listens", place_.url());
  ASSERT_EQ(child.read_line(), "listening");
  EXPECT_TRUE(find_neighbours(store)->has_listener(kTopic));
  const auto caller = connect(store);
  EXPECT_TRUE(caller.link->send("ping"));
  EXPECT_TRUE(wait_until([&] { return caller.answers->calls() == Calls{"pong"}; }));
  child.kill_hard();
  EXPECT_TRUE(wait_until([&] { return caller.answers->has_ended(); }));
  EXPECT_EQ(caller.answers->calls(), (Calls{"pong", "end: closed"}));
  EXPECT_EQ(caller.link->send("ping").error().kind(), ErrorKind::closed);
  const auto answers = std::make_shared<LinkRecorder>();
  EXPECT_EQ(find_neighbours(store)->connect(kTopic, answers).error().kind(), ErrorKind::not_found);
  EXPECT_FALSE(find_neighbours(store)->has_listener(kTopic)) << "the attempt has found it out";
}

TEST_F(SqliteNeighbours, a_stopped_process_holds_up_nobody_and_hears_everything_later) {
  const Store store = must_open(place_.url());
  ChildProcess child("listens", place_.url());
  ASSERT_EQ(child.read_line(), "listening");
  const auto before = connect(store);
  ASSERT_TRUE(child.freeze());
  const auto caller = connect(store);
  const Bytes large(1u << 20, 'm');
  std::uint64_t accepted = 0;
  Status sent;
  while (sent && accepted < 2 * kNeighbourBufferBytes) {
    sent = caller.link->send(large);
    if (sent) accepted += large.size();
  }
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().kind(), ErrorKind::retry);
  EXPECT_LE(accepted, kNeighbourBufferBytes + (2u << 20));
  EXPECT_FALSE(caller.answers->has_ended());
  child.send_signal(SIGCONT);
  EXPECT_TRUE(wait_until([&] { return caller.link->send("count").has_value(); }));
  EXPECT_TRUE(wait_until([&] { return !caller.answers->calls().empty(); }));
  EXPECT_EQ(caller.answers->calls().front(), std::to_string(accepted + 5));
}

// A child of the child lives on, and keeps nothing.
SEMPER_CHILD(listens_and_forks) {
  SEMPER_FORKS_BESIDE_THREADS();
  const Store store = must_open(child_argument());
  const LinkListener listener(store);
  say("listening");
  hear();
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(60);
    ::pause();
    ::_exit(0);
  }
  say(std::to_string(child));
  ::pause();
}

TEST_F(SqliteNeighbours, a_forked_child_of_a_killed_process_keeps_no_link_alive) {
  SEMPER_FORKS_BESIDE_THREADS();
  const Store store = must_open(place_.url());
  ChildProcess child("listens_and_forks", place_.url());
  ASSERT_EQ(child.read_line(), "listening");
  const auto caller = connect(store);
  EXPECT_TRUE(caller.link->send("1"));
  child.tell("x");
  const pid_t grandchild = std::stoi(child.read_line().value());
  child.kill_hard();
  EXPECT_TRUE(wait_until([&] { return caller.answers->has_ended(); }));
  EXPECT_EQ(::kill(grandchild, SIGKILL), 0) << "it lived on";
}

TEST_F(SqliteNeighbours, a_forked_child_cannot_speak_for_its_parent) {
  SEMPER_FORKS_BESIDE_THREADS();
  const Store store = must_open(place_.url());
  const Store other = must_open(place_.url());
  auto listener = std::make_unique<LinkListener>(store);
  auto caller = connect(other);
  EXPECT_TRUE(caller.link->send("1"));
  const auto taken = listener->taken();
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(60);
    const auto sent = caller.link->send("from the child");
    if (sent || sent.error().kind() != ErrorKind::unsupported) ::_exit(1);
    auto& neighbours = *find_neighbours(other);
    if (neighbours.has_listener(kTopic)) ::_exit(2);
    if (neighbours.connect(kTopic, caller.answers)) ::_exit(3);
    if (neighbours.listen(kTopic, [](const auto&) { return nullptr; })) ::_exit(4);
    caller.link->close();
    caller.link.reset();
    listener.reset();
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(caller.link->send("2"));
  EXPECT_TRUE(wait_until([&] { return taken->calls() == Calls{"1", "2"}; }));
}

TEST_F(SqliteNeighbours, ends_from_both_sides_at_once_are_one_end_each) {
  const Store store = must_open(place_.url());
  const Store other = must_open(place_.url());
  LinkListener listener(store);
  for (std::size_t round = 0; round < 200; ++round) {
    const auto caller = connect(other);
    const auto taken = listener.taken(round);
    std::thread closer([&] { taken->link->close(); });
    caller.link->close();
    closer.join();
    EXPECT_TRUE(wait_until([&] { return caller.answers->has_ended() && taken->has_ended(); }));
    EXPECT_EQ(caller.answers->calls().size(), 1u);
    EXPECT_EQ(taken->calls().size(), 1u);
  }
}

TEST_F(SqliteNeighbours, a_store_closed_while_messages_arrive_calls_nobody_afterwards) {
  for (int round = 0; round < 20; ++round) {
    const Store other = must_open(place_.url());
    std::atomic<bool> is_closed{false};
    std::atomic<int> late{0};
    std::atomic<int> come{0};
    auto store = std::make_unique<Store>(must_open(place_.url()));
    LinkListener listener(*store);
    listener.then = [&](const Bytes&) {
      ++come;
      if (is_closed) ++late;
    };
    std::atomic<bool> stops{false};
    std::vector<std::thread> senders;
    for (int i = 0; i < 3; ++i) {
      senders.emplace_back([&] {
        while (!stops) {
          const auto answers = std::make_shared<LinkRecorder>();
          const auto link = find_neighbours(other)->connect(kTopic, answers);
          if (!link) continue;
          for (int k = 0; k < 50 && !stops; ++k) {
            if (!(*link)->send("message")) break;
          }
        }
      });
    }
    EXPECT_TRUE(wait_until([&] { return come > 20; }));
    if (round % 2 == 0) {
      EXPECT_TRUE(wait_for(store->close()));
    }
    store.reset();
    is_closed = true;
    std::this_thread::yield();
    stops = true;
    for (auto& sender : senders) sender.join();
    EXPECT_EQ(late, 0);
    for (std::size_t i = 0; i < listener.count(); ++i) {
      EXPECT_TRUE(listener.taken(i)->has_ended());
    }
  }
}

// Not allowed, and survived: the thread of the links would wait for itself.
TEST_F(SqliteNeighbours, the_last_handle_may_go_within_a_call_of_its_own_thread) {
  const Store store = must_open(place_.url());
  LinkListener listener(store);
  auto other = std::make_shared<Store>(must_open(place_.url()));
  const std::weak_ptr<Backend> backend =
      std::shared_ptr<Backend>(std::shared_ptr<Store>(other), &other->backend());
  auto answers = std::make_shared<LinkRecorder>();
  auto link = find_neighbours(*other)->connect(kTopic, answers).value();
  std::atomic<bool> is_gone{false};
  answers->then = [&](const Bytes&) {
    other.reset();
    is_gone = true;
  };
  EXPECT_TRUE(listener.taken()->link->send("go"));
  EXPECT_TRUE(wait_until([&] { return is_gone.load(); }));
  EXPECT_TRUE(wait_until([&] { return answers->has_ended(); }));
  EXPECT_EQ(link->send("1").error().kind(), ErrorKind::closed);
}

}  // namespace
}  // namespace semper::sqlite
