#include "testing/conformance/child.h"

#include <cstdlib>
#include <iostream>
#include <string_view>
#include <utility>

namespace semper::testing::conformance {
namespace {

constexpr std::string_view kLineMark = "semper: ";
constexpr const char* kStoreVariable = "SEMPER_CONFORMANCE_STORE";
constexpr const char* kUrlVariable = "SEMPER_CONFORMANCE_URL";
constexpr const char* kRoleVariable = "SEMPER_CONFORMANCE_ROLE";
constexpr const char* kCountVariable = "SEMPER_CONFORMANCE_COUNT";
constexpr const char* kNameVariable = "SEMPER_CONFORMANCE_NAME";

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

void say(const std::string& line) {
  std::cout << kLineMark << line << std::endl;
}

Task<void> increment(const Store& store, int count) {
  for (int i = 0; i < count; ++i) {
    must(co_await store.transact(
        [](Transaction& tx) -> Async<int> {
          SEMPER_CO_TRY(auto old, co_await tx.get("counter"));
          const int next = std::stoi(old.value_or("0")) + 1;
          tx.set("counter", std::to_string(next));
          co_return next;
        },
        for_a_child()));
  }
}

Task<void> stamp(const Store& store, int count, const std::string& name) {
  for (int i = 0; i < count; ++i) {
    must(co_await store.transact(
        [&](Transaction& tx) -> Async<int> {
          tx.set_versionstamped_key("stamp/" + Bytes(Versionstamp::store_size, '\0'), 6,
                                    name + " " + std::to_string(i));
          co_return 0;
        },
        for_a_child()));
  }
}

Task<void> watch(const Store& store) {
  auto transaction = store.begin();
  static_cast<void>(must(co_await transaction.get("watched")));
  auto watch = must(co_await transaction.watch("watched"));
  say("watching");
  must(co_await watch->changed(system_clock().after(kChildPatience)));
  say("fired");
}

Task<void> pairs(const Store& store, int count) {
  for (int i = 1; i <= count; ++i) {
    must(co_await store.transact(
        [&](Transaction& tx) -> Async<int> {
          tx.set("left", std::to_string(i));
          tx.set("right", std::to_string(i));
          co_return 0;
        },
        for_a_child()));
    say(std::to_string(i));
  }
}

Task<void> play(const StoreUnderTest& under_test) {
  const Store store(must(co_await open_at(under_test, variable(kUrlVariable), Env{})), Env{});
  const int count = std::stoi(variable(kCountVariable));
  const std::string name = variable(kNameVariable);
  switch (static_cast<Role>(std::stoi(variable(kRoleVariable)))) {
    case Role::increment:
      co_await increment(store, count);
      break;
    case Role::stamp:
      co_await stamp(store, count, name);
      break;
    case Role::set:
      must(co_await store.transact([&](Transaction& tx) -> Async<int> {
        tx.set("watched", name);
        co_return 0;
      }));
      break;
    case Role::watch:
      co_await watch(store);
      break;
    case Role::pairs:
      co_await pairs(store, count);
      break;
  }
  must(co_await store.close());
}

}  // namespace

std::string conformance_suite_name(const StoreUnderTest& store) {
  return store.name + "/StoreConformance";
}

bool is_child_of(const StoreUnderTest& store) {
  return variable(kStoreVariable) == store.name;
}

void run_child_role(const StoreUnderTest& store) {
  try {
    Scheduler scheduler({.threads = 2, .name = "child"});
    scheduler.block_on(play(store));
  } catch (const std::exception& error) {
    FAIL() << error.what();
  }
}

namespace {

ProgramToStart player(const World& world, const RoleOptions& options) {
  ProgramToStart self;
  self.arguments = {"--gtest_filter=" + conformance_suite_name(world.under_test()) + "." +
                    kChildTestName};
  self.environment = {
      std::string(kStoreVariable) + "=" + world.under_test().name,
      std::string(kUrlVariable) + "=" + world.url(),
      std::string(kRoleVariable) + "=" + std::to_string(static_cast<int>(options.role)),
      std::string(kCountVariable) + "=" + std::to_string(options.count),
      std::string(kNameVariable) + "=" + options.name};
  return self;
}

}  // namespace

RolePlayer::RolePlayer(const World& world, const RoleOptions& options)
    : process_(player(world, options)) {}

std::optional<std::string> RolePlayer::next_line() {
  while (true) {
    const auto line = process_.read_line(kChildPatience);
    if (!line && !process_.is_running()) return std::nullopt;
    if (!line) {
      throw CaseFailure("the child process said nothing for long; before: " + process_.output());
    }
    if (line->starts_with(kLineMark)) return line->substr(kLineMark.size());
  }
}

void RolePlayer::must_succeed() {
  const int code = process_.wait(kChildPatience);
  if (code != 0 || !process_.has_written("[  PASSED  ] 1 test.")) {
    throw CaseFailure("the child process failed with code " + std::to_string(code) + ":\n" +
                      process_.output() + process_.errors());
  }
}

}  // namespace semper::testing::conformance
