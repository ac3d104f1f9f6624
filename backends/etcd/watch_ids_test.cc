// Whose ids the watchers of a stream have.
#include "backends/etcd/watch_ids.h"

#include <gtest/gtest.h>

namespace semper::etcd {
namespace {

using Ids = std::vector<std::int64_t>;

TEST(WatchIds, the_first_watcher_goes_alone_and_the_others_at_once_where_ids_are_granted) {
  WatchIds ids;
  EXPECT_EQ(ids.want(101), Ids{101});
  EXPECT_EQ(ids.want(102), Ids());
  EXPECT_EQ(ids.want(103), Ids());
  const auto told = ids.created(101);
  EXPECT_EQ(told.id, 101);
  EXPECT_EQ(told.send, (Ids{102, 103}));
  EXPECT_EQ(ids.want(104), Ids{104}) << "before 102 was answered";
  EXPECT_EQ(ids.created(102).id, 102);
  EXPECT_EQ(ids.id_of(104), 104);
  EXPECT_EQ(ids.forget(104), 104);
}

TEST(WatchIds, watches_are_created_one_by_one_where_the_other_side_chooses_their_ids) {
  WatchIds ids;
  EXPECT_EQ(ids.want(101), Ids{101});
  EXPECT_EQ(ids.want(102), Ids());
  EXPECT_EQ(ids.want(103), Ids());
  auto told = ids.created(0);
  EXPECT_EQ(told.id, 101);
  EXPECT_EQ(told.send, Ids{102});
  EXPECT_TRUE(ids.is_waiting());
  told = ids.created(1);
  EXPECT_EQ(told.id, 102);
  EXPECT_EQ(told.send, Ids{103});
  EXPECT_EQ(ids.created(2).id, 103);
  EXPECT_FALSE(ids.is_waiting());
  EXPECT_EQ(ids.want(104), Ids{104});
  EXPECT_EQ(ids.id_of(1), 102);
  EXPECT_EQ(ids.id_of(101), std::nullopt);
  EXPECT_EQ(ids.forget(102), 1);
  EXPECT_EQ(ids.id_of(1), std::nullopt);
}

TEST(WatchIds, a_watch_that_is_forgotten_while_it_waits_is_not_created) {
  WatchIds ids;
  ids.want(101);
  ids.want(102);
  ids.want(103);
  EXPECT_EQ(ids.forget(102), std::nullopt);
  EXPECT_EQ(ids.created(7).send, Ids{103});
  EXPECT_EQ(ids.forget(103), std::nullopt) << "it is asked for: whoever forgot it cancels it then";
  EXPECT_EQ(ids.created(8).id, 103);
}

TEST(WatchIds, a_new_stream_begins_anew) {
  WatchIds ids;
  ids.want(101);
  ids.created(101);
  ids.reset();
  EXPECT_EQ(ids.want(102), Ids{102});
  EXPECT_EQ(ids.want(103), Ids());
  EXPECT_EQ(ids.created(0).send, Ids{103});
}

}  // namespace
}  // namespace semper::etcd
