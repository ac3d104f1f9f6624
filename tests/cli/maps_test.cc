// Maps of entities, as the command line shows them.
#include "semper/semper.h"
#include "semper/server/map.h"
#include "tool.h"

namespace semper::testing {
namespace {

using ::testing::HasSubstr;

struct Drawer {
  static constexpr std::string_view kName = "Drawer";
  using State = std::int64_t;
  static constexpr Map<std::string, std::int64_t> kThings{"things"};
  struct Put {
    std::string what;
  };
  using Messages = semper::Messages<Put>;
  Result<State> init(const EntityId&) { return 0; }
  void handle_cast(const Put& m, State& s, Context& context) { kThings.set(context, m.what, ++s); }
};

using CliMaps = CliTest;

TEST_F(CliMaps, maps_are_shown_with_the_number_of_their_entries) {
  create_store();
  Scheduler scheduler;
  const Store store = scheduler.block_on(open_store(url())).value();
  {
    Host host(store);
    host.serve<Drawer>();
    for (const char* what : {"key", "pen", "key"}) {
      const Drawer::Put put{what};
      ASSERT_TRUE(scheduler.block_on(ref<Drawer>(store, "top").cast(put)));
    }
    ASSERT_TRUE(scheduler.block_on(host.stop()));
  }
  const auto shown = must_json({"show", "Drawer/top"});
  ASSERT_EQ(shown["maps"].size(), 1u) << shown;
  EXPECT_EQ(shown["maps"][0]["name"], "things");
  EXPECT_EQ(shown["maps"][0]["entries"], 2);
  EXPECT_THAT(must({"show", "Drawer/top"}), HasSubstr("things, entries: 2\n"));
  must({"reset", "Drawer/top", "--yes"});
  EXPECT_EQ(must_json({"show", "Drawer/top"})["maps"].size(), 0u);
  ASSERT_TRUE(scheduler.block_on(store.close()));
}

}  // namespace
}  // namespace semper::testing
