#include "semper/store/directory.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>

#include "semper/store/store.h"
#include "semper/testing/simulated_run.h"
#include "store/comparing_backend_test_support.h"

namespace semper {
namespace {

using Names = std::vector<std::string>;
using testing::ComparingBackend;
using testing::simulated_run;
using testing::SimulatedClock;

class Directories : public ::testing::Test {
 protected:
  // Runs `operation(transaction)` as one transaction.
  template <class F>
  auto run(F operation) {
    return simulated_run(clock_, store_.transact(std::move(operation)));
  }

  Result<Directory> create(DirectoryPath path, Bytes layer = {}) {
    return run([&](Transaction& tx) { return layer_.create(tx, path, layer); });
  }
  Result<Directory> open(DirectoryPath path, Bytes layer = {}) {
    return run([&](Transaction& tx) { return layer_.open(tx, path, layer); });
  }
  Result<Directory> create_or_open(DirectoryPath path, Bytes layer = {}) {
    return run([&](Transaction& tx) { return layer_.create_or_open(tx, path, layer); });
  }
  Result<bool> exists(DirectoryPath path) {
    return run([&](Transaction& tx) { return layer_.exists(tx, path); });
  }
  Result<Names> list(DirectoryPath path = {}) {
    return run([&](Transaction& tx) { return layer_.list(tx, path); });
  }
  Result<Directory> move(DirectoryMove paths) {
    return run([&](Transaction& tx) { return layer_.move(tx, paths); });
  }
  Status remove(DirectoryPath path) {
    return run([&](Transaction& tx) { return layer_.remove(tx, path); });
  }
  Result<bool> remove_if_exists(DirectoryPath path) {
    return run([&](Transaction& tx) { return layer_.remove_if_exists(tx, path); });
  }

  void set(const Bytes& key, const Bytes& value) {
    const auto done = run([&](Transaction& tx) -> Async<void> {
      tx.set(key, value);
      co_return Status{};
    });
    ASSERT_TRUE(done) << done.error().to_string();
  }

  // Whether the operation failed so, with the path or another word in the message, and wrote
  // nothing.
  template <class F>
  void expect_refused(F operation, ErrorKind kind, std::string_view word) {
    const ComparingBackend::Rows before = backend_->rows();
    const auto result = operation();
    ASSERT_FALSE(result) << word;
    EXPECT_EQ(result.error().kind(), kind) << result.error().to_string();
    EXPECT_NE(result.error().message().find(word), std::string::npos) << result.error().message();
    EXPECT_EQ(backend_->rows(), before);
  }

  static constexpr std::uint64_t seed = 3;

  SimulatedClock clock_;
  SeededRandom random_{seed};
  Env env_{&clock_, &random_};
  std::shared_ptr<ComparingBackend> backend_ = std::make_shared<ComparingBackend>();
  Store store_{backend_, env_};
  DirectoryLayer layer_{env_};
};

TEST_F(Directories, created_ones_open_with_the_same_prefix) {
  const auto created = create({"tenants", "ann"}, "app").value();
  EXPECT_EQ(created.path, (DirectoryPath{"tenants", "ann"}));
  EXPECT_EQ(created.layer, "app");
  EXPECT_EQ(open({"tenants", "ann"}).value(), created);
  EXPECT_EQ(open({"tenants", "ann"}, "app").value(), created);
  EXPECT_EQ(create_or_open({"tenants", "ann"}).value(), created);
  EXPECT_EQ(create_or_open({"tenants", "ann"}, "app").value(), created);
}

TEST_F(Directories, creating_makes_missing_parents_without_a_layer) {
  create({"a", "b", "c"}, "app").value();
  EXPECT_EQ(open({"a"}).value().layer, "");
  EXPECT_EQ(open({"a", "b"}).value().layer, "");
  EXPECT_EQ(list().value(), Names{"a"});
  EXPECT_EQ(list({"a", "b"}).value(), Names{"c"});
}

TEST_F(Directories, prefixes_are_short_and_none_begins_with_another) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::set<Bytes> prefixes;
  for (int i = 0; i < 120; ++i) {
    const auto directory = create({"d" + std::to_string(i)}).value();
    EXPECT_LE(directory.contents.prefix().size(), 3u);
    EXPECT_TRUE(prefixes.insert(directory.contents.prefix()).second);
  }
  for (auto at = std::next(prefixes.begin()); at != prefixes.end(); ++at) {
    EXPECT_FALSE(at->starts_with(*std::prev(at)));
  }
}

TEST_F(Directories, keys_are_where_foundationdbs_tools_look_for_them) {
  const auto directory = create({"a"}, "app").value();
  const Bytes prefix = directory.contents.prefix();
  const auto nodes = Subspace::from_prefix("\xfe");
  const Subspace root = nodes[ByteString{"\xfe"}];
  const auto& rows = backend_->rows();
  EXPECT_EQ(rows.at(root.pack({0, "a"})), prefix);
  EXPECT_EQ(rows.at(root.pack({ByteString{"version"}})),
            bytes_of({1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(rows.at(nodes.pack({ByteString{prefix}, ByteString{"layer"}})), "app");
  EXPECT_EQ(rows.at(root.pack({ByteString{"hca"}, 0, 0})), bytes_of({1, 0, 0, 0, 0, 0, 0, 0}));
  const auto number = Tuple::unpack(prefix)->get<std::int64_t>(0).value();
  EXPECT_EQ(rows.at(root.pack({ByteString{"hca"}, 1, number})), "");
  EXPECT_EQ(rows.size(), 5u);
}

TEST_F(Directories, an_existing_one_is_not_created_again) {
  create({"a", "b"}).value();
  expect_refused([&] { return create({"a", "b"}); }, ErrorKind::already_exists, "a/b");
  expect_refused([&] { return create({"a"}); }, ErrorKind::already_exists, "a");
}

TEST_F(Directories, a_missing_one_is_not_found) {
  expect_refused([&] { return open({"a"}); }, ErrorKind::not_found, "a");
  create({"a"}).value();
  expect_refused([&] { return open({"a", "b"}); }, ErrorKind::not_found, "a/b");
  expect_refused([&] { return list({"b"}); }, ErrorKind::not_found, "b");
  expect_refused([&] { return remove({"a", "b", "c"}); }, ErrorKind::not_found, "a/b/c");
  EXPECT_FALSE(exists({"b"}).value());
  EXPECT_TRUE(exists({"a"}).value());
  EXPECT_FALSE(remove_if_exists({"b"}).value());
}

TEST_F(Directories, another_layer_is_refused) {
  create({"a"}, "app").value();
  expect_refused([&] { return open({"a"}, "other"); }, ErrorKind::invalid_argument, "\"app\"");
  expect_refused([&] { return create_or_open({"a"}, "other"); }, ErrorKind::invalid_argument,
                 "\"other\"");
}

TEST_F(Directories, the_root_can_be_listed_and_nothing_else_done_to_it) {
  const auto kind = ErrorKind::invalid_argument;
  EXPECT_EQ(list().value(), Names{});
  EXPECT_TRUE(exists({}).value());
  expect_refused([&] { return create({}); }, kind, "root");
  expect_refused([&] { return open({}); }, kind, "root");
  expect_refused([&] { return create_or_open({}); }, kind, "root");
  expect_refused([&] { return remove({}); }, kind, "root");
  expect_refused([&] { return remove_if_exists({}); }, kind, "root");
  create({"a"}).value();
  expect_refused([&] { return move({{}, {"b"}}); }, kind, "root");
  expect_refused([&] { return move({{"a"}, {}}); }, kind, "root");
}

TEST_F(Directories, names_that_are_empty_or_not_utf8_or_too_deep_are_refused) {
  const auto kind = ErrorKind::invalid_argument;
  expect_refused([&] { return create({"a", ""}); }, kind, "empty");
  expect_refused([&] { return create({"\xff"}); }, kind, "UTF-8");
  expect_refused([&] { return exists({"a", "\xff"}); }, kind, "UTF-8");
  expect_refused([&] { return list({""}); }, kind, "empty");
  const DirectoryPath deep(kDirectoryDepthMaximum + 1, "d");
  expect_refused([&] { return create(deep); }, kind, std::to_string(kDirectoryDepthMaximum));
  EXPECT_TRUE(create(DirectoryPath(kDirectoryDepthMaximum, "d")));
}

TEST_F(Directories, list_gives_the_names_directly_under_it_in_order) {
  for (const char* name : {"b", "a", "é", "B"}) create({"top", name, "inner"}).value();
  EXPECT_EQ(list({"top"}).value(), (Names{"B", "a", "b", "é"}));
  EXPECT_EQ(list({"top", "a", "inner"}).value(), Names{});
}

TEST_F(Directories, moving_renames_and_keeps_the_prefix_and_what_is_under_it) {
  const auto before = create({"a", "x"}, "app").value();
  const auto inner = create({"a", "x", "inner"}).value();
  create({"b"}).value();
  const auto moved = move({{"a", "x"}, {"b", "y"}}).value();
  EXPECT_EQ(moved.path, (DirectoryPath{"b", "y"}));
  EXPECT_EQ(moved.contents, before.contents);
  EXPECT_EQ(moved.layer, "app");
  EXPECT_EQ(open({"b", "y"}).value(), moved);
  EXPECT_EQ(open({"b", "y", "inner"}).value().contents, inner.contents);
  EXPECT_FALSE(exists({"a", "x"}).value());
  EXPECT_EQ(list({"a"}).value(), Names{});
}

TEST_F(Directories, moving_into_itself_is_refused) {
  create({"a", "b"}).value();
  const auto kind = ErrorKind::invalid_argument;
  expect_refused([&] { return move({{"a"}, {"a"}}); }, kind, "itself");
  expect_refused([&] { return move({{"a"}, {"a", "b", "c"}}); }, kind, "a/b/c");
  EXPECT_TRUE(move({{"a"}, {"ab"}}));  // no prefix of names, only of letters
}

TEST_F(Directories, moving_needs_a_source_a_free_name_and_a_parent) {
  create({"a"}).value();
  create({"b"}).value();
  expect_refused([&] { return move({{"c"}, {"d"}}); }, ErrorKind::not_found, "c");
  expect_refused([&] { return move({{"a"}, {"b"}}); }, ErrorKind::already_exists, "b");
  expect_refused([&] { return move({{"a"}, {"x", "y"}}); }, ErrorKind::not_found, "parent x");
  expect_refused(
      [&] {
        return move({{"a"}, {"x", "y", "z"}});
      },
      ErrorKind::not_found, "parent x/y");
}

TEST_F(Directories, removing_takes_everything_under_it_and_nothing_next_to_it) {
  const auto kept = create({"kept"}).value();
  const auto top = create({"gone"}).value();
  const auto inner = create({"gone", "inner", "deep"}).value();
  set(kept.contents.pack({1}), "stays");
  const auto before = backend_->rows();
  set(top.contents.pack({1}), "goes");
  set(inner.contents.pack({"x"}), "goes");
  set(inner.contents.prefix(), "goes");
  ASSERT_TRUE(remove({"gone"}));
  EXPECT_FALSE(exists({"gone"}).value());
  EXPECT_FALSE(exists({"gone", "inner", "deep"}).value());
  EXPECT_EQ(open({"kept"}).value(), kept);
  for (const auto& [key, value] : backend_->rows()) {
    EXPECT_NE(value, "goes") << to_printable(key);
  }
  EXPECT_EQ(backend_->rows().at(kept.contents.pack({1})), "stays");
  ASSERT_TRUE(remove({"kept"}));
  EXPECT_EQ(list().value(), Names{});
}

TEST_F(Directories, a_removed_name_made_again_is_another_directory) {
  const auto first = create({"a"}).value();
  set(first.contents.pack({1}), "old");
  EXPECT_TRUE(remove_if_exists({"a"}).value());
  const auto second = create({"a"}).value();
  EXPECT_NE(first.contents, second.contents);
}

TEST_F(Directories, several_steps_in_one_transaction_see_each_other) {
  const auto done = run([&](Transaction& tx) -> Async<void> {
    DirectoryPath a{"a"};
    DirectoryPath b{"a", "b"};
    DirectoryMove paths{b, {"c"}};
    SEMPER_CO_TRY(const auto created, co_await layer_.create(tx, b));
    SEMPER_CO_TRY(const auto moved, co_await layer_.move(tx, paths));
    EXPECT_EQ(created.contents, moved.contents);
    SEMPER_CO_TRY_STATUS(co_await layer_.remove(tx, a));
    SEMPER_CO_TRY(const auto names, co_await layer_.list(tx));
    EXPECT_EQ(names, Names{"c"});
    co_return Status{};
  });
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_EQ(list().value(), Names{"c"});
}

TEST_F(Directories, creating_next_to_others_conflicts_on_the_same_name_only) {
  create({"first"}).value();
  const auto in_two = [&](DirectoryPath one, DirectoryPath other) {
    Transaction first = store_.begin();
    Transaction second = store_.begin();
    EXPECT_TRUE(simulated_run(clock_, layer_.create(first, std::move(one))));
    EXPECT_TRUE(simulated_run(clock_, layer_.create(second, std::move(other))));
    EXPECT_TRUE(simulated_run(clock_, first.commit()));
    return simulated_run(clock_, second.commit()).has_value();
  };
  EXPECT_TRUE(in_two({"a"}, {"b"}));
  EXPECT_FALSE(in_two({"same"}, {"same"}));
  EXPECT_TRUE(in_two({"first", "c"}, {"first", "d"}));
}

TEST_F(Directories, two_moves_that_would_make_a_circle_conflict) {
  create({"a"}).value();
  create({"b"}).value();
  Transaction first = store_.begin();
  Transaction second = store_.begin();
  ASSERT_TRUE(simulated_run(clock_, layer_.move(first, {{"a"}, {"b", "a"}})));
  ASSERT_TRUE(simulated_run(clock_, layer_.move(second, {{"b"}, {"a", "b"}})));
  EXPECT_TRUE(simulated_run(clock_, first.commit()));
  EXPECT_EQ(simulated_run(clock_, second.commit()).error().kind(), ErrorKind::conflict);
}

TEST_F(Directories, a_child_made_while_its_parent_is_removed_is_not_left_behind) {
  create({"a"}).value();
  Transaction remover = store_.begin();
  Transaction maker = store_.begin();
  ASSERT_TRUE(simulated_run(clock_, layer_.remove(remover, {"a"})));
  ASSERT_TRUE(simulated_run(clock_, layer_.create(maker, {"a", "child"})));
  ASSERT_TRUE(simulated_run(clock_, maker.commit()));
  EXPECT_EQ(simulated_run(clock_, remover.commit()).error().kind(), ErrorKind::conflict);
}

TEST_F(Directories, prefixes_that_hold_other_keys_are_skipped) {
  for (int number = 0; number < 64; number += 2) set(Tuple{number, "other"}.pack(), "x");
  for (int i = 0; i < 20; ++i) {
    const auto directory = create({"d" + std::to_string(i)}).value();
    const auto number = Tuple::unpack(directory.contents.prefix())->get<std::int64_t>(0).value();
    EXPECT_TRUE(number >= 64 || number % 2 == 1) << number;
  }
}

TEST_F(Directories, a_store_full_of_other_keys_is_an_error_not_an_endless_search) {
  set(bytes_of({0x14}), "x");
  for (int number = 1; number < 256; ++number) {
    set(bytes_of({0x15, static_cast<std::uint8_t>(number)}), "x");
  }
  expect_refused([&] { return create({"a"}); }, ErrorKind::exhausted, "content_prefix");
}

TEST_F(Directories, trees_with_their_own_prefixes_do_not_meet) {
  DirectoryLayer other(env_, {.node_prefix = "nodes", .content_prefix = "data"});
  create({"a"}).value();
  const auto theirs = run([&](Transaction& tx) { return other.create(tx, {"b"}); }).value();
  EXPECT_TRUE(theirs.contents.prefix().starts_with("data"));
  EXPECT_EQ(list().value(), Names{"a"});
  EXPECT_EQ(run([&](Transaction& tx) { return other.list(tx); }).value(), Names{"b"});
}

TEST_F(Directories, a_tree_of_a_newer_version_is_left_alone) {
  const Bytes key = Subspace::from_prefix("\xfe").pack({ByteString{"\xfe"}, ByteString{"version"}});
  for (const Bytes& version : {bytes_of({2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}),
                               bytes_of({1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0})}) {
    set(key, version);
    expect_refused([&] { return create({"a"}); }, ErrorKind::unsupported, "version");
    expect_refused([&] { return list(); }, ErrorKind::unsupported, "version");
    expect_refused([&] { return remove({"a"}); }, ErrorKind::unsupported, "version");
  }
  set(key, bytes_of({1, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0}));
  EXPECT_TRUE(create({"a"}));
  set(key, "1.0.0");
  expect_refused([&] { return open({"a"}); }, ErrorKind::corrupt, "version");
}

TEST_F(Directories, partitions_are_refused_and_left_alone) {
  expect_refused([&] { return create({"p"}, "partition"); }, ErrorKind::unsupported, "p");
  const auto directory = create({"p"}).value();
  set(Subspace::from_prefix("\xfe").pack(
          {ByteString{directory.contents.prefix()}, ByteString{"layer"}}),
      "partition");
  expect_refused([&] { return open({"p"}); }, ErrorKind::unsupported, "partition");
  expect_refused([&] { return create({"p", "q"}); }, ErrorKind::unsupported, "partition");
  expect_refused([&] { return remove({"p"}); }, ErrorKind::unsupported, "partition");
}

TEST_F(Directories, a_damaged_prefix_never_clears_what_is_not_its_own) {
  create({"a", "b"}).value();
  const auto parent = open({"a"}).value().contents.prefix();
  set("unrelated", "x");
  const Bytes entry = Subspace::from_prefix("\xfe").pack({ByteString{parent}, 0, "b"});
  set(entry, "");
  expect_refused([&] { return remove({"a", "b"}); }, ErrorKind::corrupt, "prefix");
  expect_refused([&] { return remove({"a"}); }, ErrorKind::corrupt, "prefix");
  set(entry, parent);  // a directory that contains itself
  EXPECT_TRUE(remove({"a"}));
  EXPECT_TRUE(backend_->rows().contains("unrelated"));
}

TEST_F(Directories, more_than_a_transaction_can_remove_is_refused_early) {
  for (int i = 0; i < 30; ++i) create({"a", std::to_string(i)}).value();
  backend_->offered.transaction_operations = 40;
  expect_refused([&] { return remove({"a"}); }, ErrorKind::exhausted, "under it first");
  EXPECT_TRUE(remove({"a", "7"}));
}

TEST_F(Directories, a_tree_makes_lists_and_removes_like_a_set_of_paths) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  SeededRandom random(seed);
  std::map<DirectoryPath, Bytes> model;  // path to prefix
  const auto draw_path = [&] {
    DirectoryPath path;
    for (auto depth = 1 + random.below(3); depth > 0; --depth) {
      path.push_back(std::string(1, static_cast<char>('a' + random.below(3))));
    }
    return path;
  };
  const auto is_under = [](const DirectoryPath& path, const DirectoryPath& top) {
    return path.size() >= top.size() && std::equal(top.begin(), top.end(), path.begin());
  };
  for (int i = 0; i < 400; ++i) {
    const DirectoryPath path = draw_path();
    const DirectoryPath target = draw_path();
    switch (random.below(4)) {
      case 0: {
        const auto made = create_or_open(path).value();
        for (auto parent = path; !parent.empty(); parent.pop_back()) {
          model.try_emplace(parent, open(parent).value().contents.prefix());
        }
        ASSERT_EQ(model.at(path), made.contents.prefix());
        break;
      }
      case 1: {
        ASSERT_EQ(remove_if_exists(path).value(), model.contains(path));
        std::erase_if(model, [&](const auto& item) { return is_under(item.first, path); });
        break;
      }
      case 2: {
        const DirectoryPath parent(target.begin(), std::prev(target.end()));
        const bool possible = model.contains(path) && !model.contains(target) &&
                              !is_under(target, path) && (parent.empty() || model.contains(parent));
        ASSERT_EQ(move({path, target}).has_value(), possible);
        if (!possible) break;
        std::map<DirectoryPath, Bytes> renamed;
        for (const auto& [old_path, prefix] : model) {
          DirectoryPath new_path = old_path;
          if (is_under(old_path, path)) {
            new_path = target;
            new_path.insert(new_path.end(),
                            old_path.begin() + static_cast<std::ptrdiff_t>(path.size()),
                            old_path.end());
          }
          renamed.emplace(new_path, prefix);
        }
        model = renamed;
        break;
      }
      default: {
        const auto opened = open(path);
        ASSERT_EQ(opened.has_value(), model.contains(path));
        if (!opened) break;
        ASSERT_EQ(opened->contents.prefix(), model.at(path));
      }
    }
    std::set<std::string> names;
    for (const auto& item : model) names.insert(item.first.front());
    ASSERT_EQ(list().value(), Names(names.begin(), names.end()));
  }
}

TEST(DirectoryPathText, it_shows_names_apart) {
  EXPECT_EQ(directory_path_text({}), "/");
  EXPECT_EQ(directory_path_text({"a", "b\n"}), "a/b\\x0a");
}

}  // namespace
}  // namespace semper
