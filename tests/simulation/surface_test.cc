// A public operation that no workload draws is not attacked: each one that the headers declare is
// drawn, or is named below with the reason.
#include "surface.h"

#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "campaign.h"
#include "gtest/gtest.h"
#include "surface_parser.h"
#include "workload.h"

namespace semper::simulation {
namespace {

const std::string kHeaders = SEMPER_SOURCE_FOLDER "/include/semper/";

struct Declared {
  const char* header;
  const char* type;  // the class whose public operations are meant
};

constexpr Declared kDeclared[] = {
    {"server/ref.h", "Ref"},
    {"server/host.h", "Host"},
    {"server/context.h", "Context"},
    {"server/locked_context.h", "LockedContext"},
    {"server/atomically.h", "Atomic"},
    {"server/map.h", "Map"},
    {"server/entity_log.h", "Log"},
    {"server/list.h", "List"},
    {"server/set.h", "Set"},
    {"server/name_registry.h", "NameRegistry"},
    {"server/name_holding.h", "Holding"},
    {"server/name_registry.h", "NameWatch"},
    {"ring/producer.h", "Producer"},
    {"ring/consumer.h", "Consumer"},
    {"ring/journal.h", "Journal"},
    {"journal_drain.h", "JournalDrain"},
    {"durable/durable.h", "Durable"},
    {"durable/stream.h", "BasicStream"},
};

// What changes nothing and waits for nothing, or is drawn where a simulation cannot go. Not for
// what is new.
const std::map<std::string, std::string> kNotDrawn = {
    {"Ref::entity", "a name"},
    {"Ref::untyped", "the same Ref without its type"},
    {"Host::name", "a name"},
    {"Host::serve", "before anything runs: each process of each run"},
    {"Host::statistics", "figures"},
    {"Host::close", "another name of Host::stop"},
    {"Journal::close", "another name of Journal::shutdown"},
    {"JournalDrain::close", "another name of JournalDrain::shutdown"},
    {"Host::join", "ends with the store; tests/durable_server/failed_stores_test.cc"},
    {"Context::id", "a name"},
    {"Context::tenant", "a name"},
    {"Context::event", "a name"},
    {"Context::now", "the calendar"},
    {"Context::random", "chance"},
    {"Atomic::now", "the calendar"},
    {"Atomic::transaction", "as Context::transaction"},
    {"LockedContext::id", "a name"},
    {"LockedContext::tenant", "a name"},
    {"LockedContext::with_clock", "for tests"},
    {"LockedContext::reply_error", "LockedContext::reply with an error"},
    {"LockedContext::event", "a name"},
    {"LockedContext::clock", "the clock"},
    {"LockedContext::random", "chance"},
    {"Map::name", "a name"},
    {"Log::name", "a name"},
    {"List::name", "a name"},
    {"Set::name", "a name"},
    {"Log::page_from", "Log::page is made of it"},
    {"Holding::name", "a name"},
    {"Holding::token", "a number"},
    {"Producer::exposed", "a number"},
    {"Producer::format", "a name"},
    {"Producer::capacity", "a number"},
    {"Producer::max_item_bytes", "a number"},
    {"Producer::identity", "a name"},
    {"Consumer::consumed", "a number"},
    {"Consumer::format", "a name"},
    {"Consumer::capacity", "a number"},
    {"Consumer::identity", "a name"},
    {"Consumer::resync", "after damage, which no disk here does: src/ring"},
    {"Journal::statistics", "figures"},
    {"Journal::identity", "a name"},
    {"JournalDrain::cast_raw", "JournalDrain::cast is made of it"},
    {"JournalDrain::statistics", "figures"},
    {"JournalDrain::status", "Journal::status"},
    {"Durable::create_or_fail", "Durable::create and a with()"},
    {"Durable::is_intact", "a Bus: src/durable/bus_test.cc"},
    {"Durable::close", "Durable::join begins with it"},
    {"Durable::statistics", "figures"},
    {"BasicStream::create_or_fail", "src/durable/create_or_fail_test.cc"},
    {"BasicStream::close", "BasicStream::join begins with it"},
    {"BasicStream::statistics", "figures"},
    {"BasicStream::map_state", "as map_update"},
};

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

Surface drawn_by_seeds() {
  Surface surface;
  for (const auto& kind : {"calm.txt", "storm.txt"}) {
    const auto plan =
        read_plan(SEMPER_SOURCE_FOLDER "/tests/simulation/plans/" + std::string(kind));
    for (const auto& workload : known_workloads().names) {
      for (std::uint64_t seed = 1; seed <= 4; ++seed) {
        const auto scenario = draw_scenario(*plan, seed, known_workloads(), workload);
        Trace trace;
        surface.add(run(*scenario, trace).surface);
      }
    }
  }
  return surface;
}

TEST(Surfaces, every_public_operation_is_drawn_by_a_workload_or_excepted) {
  const auto drawn = drawn_by_seeds().counts();
  for (const auto& [header, type] : kDeclared) {
    const auto operations = public_operations(text_of(kHeaders + header), type);
    EXPECT_FALSE(operations.empty()) << header << " declares no " << type;
    for (const auto& operation : operations) {
      const std::string name = std::string(type) + "::" + operation;
      EXPECT_TRUE(drawn.contains(name) || kNotDrawn.contains(name))
          << name << " (" << header
          << ") is drawn by no workload: let one do it, by Client::operate or Surface::drawn";
      EXPECT_FALSE(drawn.contains(name) && kNotDrawn.contains(name))
          << name << " is drawn: take it out of the exceptions";
    }
  }
}

TEST(Surfaces, every_exception_is_for_an_operation_that_exists) {
  std::set<std::string> declared;
  for (const auto& [header, type] : kDeclared) {
    for (const auto& operation : public_operations(text_of(kHeaders + header), type)) {
      declared.insert(std::string(type) + "::" + operation);
    }
  }
  for (const auto& [name, reason] : kNotDrawn) {
    EXPECT_TRUE(declared.contains(name)) << name << " is not declared any more";
  }
}

TEST(Surfaces, the_parser_finds_every_public_operation_and_no_other) {
  const std::string text = R"(
// class Thing { void in_a_comment(); };
class Thing {
 public:
  struct Inner { int inside(); };
  static Async<Thing> make(int a, Options options = {});
  template <class F>
  requires std::is_invocable_v<F&, int> auto with(F f) const { return other(f); }
  explicit Thing(int a) : a_(a), b_(std::move(a)) {}
  Thing(Thing&&) noexcept;
  ~Thing();
  Async<void> stop();
  std::uint64_t size() const noexcept { return count(); }
  friend bool operator==(const Thing&, const Thing&) = default;

 private:
  void hidden();
};
class Other {
 public:
  void elsewhere();
};
)";
  EXPECT_EQ(public_operations(text, "Thing"),
            (std::set<std::string>{"make", "with", "stop", "size"}));
}

}  // namespace
}  // namespace semper::simulation
