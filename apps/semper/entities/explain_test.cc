#include "entities/explain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace semper::cli {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

WallTime at(Duration since_epoch) {
  return WallTime(since_epoch);
}

WatchedHost host(const std::string& name, bool is_silent = false) {
  WatchedHost watched;
  watched.view.name = name;
  watched.view.types = {"Order"};
  watched.is_silent = is_silent;
  return watched;
}

// Two messages wait, listed, and a living host serves them.
Seen waiting() {
  Seen seen;
  seen.id = {"Order", "17"};
  seen.now = at(100s);
  EntityView view;
  view.id = seen.id;
  view.queue_length = 2;
  view.indexed = true;
  seen.view = view;
  QueuedView first;
  first.is_call = true;
  first.message.name = "Ship";
  seen.first = first;
  seen.hosts = {host("packer 1"), host("packer 2", true)};
  return seen;
}

void expect(const Seen& seen, const char* why, const std::string& words) {
  const Verdict told = verdict(seen);
  EXPECT_STREQ(told.why, why) << told.sentence;
  EXPECT_THAT(told.sentence, HasSubstr(words));
}

TEST(Verdicts, the_reason_why_an_entity_does_not_move_is_named) {
  Seen seen = waiting();
  expect(seen, "waiting", "2 messages wait for packer 1: its first message, the call Ship,");
  seen.has_moved = true;
  expect(seen, "moving", "it moves: 2 messages wait now");
  seen.has_moved = false;
  seen.view->limited = LimitedView{true, "blue", at(40s)};
  expect(seen, "limited", "2 messages wait, since 1970-01-01");
  expect(seen, "limited", "for a token of the rate of Order for \"blue\" (kRateLimit)");
  LimitsView limits;
  limits.type_rate = {20, 1s, 5};
  limits.running = 2;
  limits.type_running = 3;
  limits.by_key = true;
  ServedTypeView type;
  type.type = "Order";
  type.limits = limits;
  seen.hosts.front().view.speaks.push_back(type);
  expect(seen, "limited", "for \"blue\" (kTypeRateLimit): 20 messages in 1.00 s for all keys");
  seen.view->limited = LimitedView{false, "", at(40s)};
  expect(seen, "limited", "run as its kConcurrencyLimit or kTypeConcurrencyLimit allows");
  seen.hosts.front().view.speaks.clear();
  expect(seen, "limited", "for a place among the handle_locked of Order");
  seen.has_moved = true;
  expect(seen, "moving", "it moves");
  seen.has_moved = false;
  seen.view->limited.reset();
  seen.needs = "a host that takes call Ship";
  expect(seen, "needs", "no host that is alive can handle its first message, the call Ship,");
  expect(seen, "needs", "it needs a host that takes call Ship; start a program that has that");
  seen.has_moved = true;
  expect(seen, "moving", "it moves");
  seen.has_moved = false;
  seen.needs.reset();
  seen.view->indexed = false;
  expect(seen, "unlisted", "its entry in the index is missing");
  FailingView failing;
  failing.attempts = 7;
  failing.host = "packer 1";
  failing.reason = "internal: no such shelf";
  failing.next_attempt = at(90s);
  seen.view->failing = failing;
  expect(seen, "failing",
         "failed 7 times, the last one on packer 1 with \"internal: no such shelf\"");
  expect(seen, "failing", "at the next look");
  seen.view->failing->next_attempt = at(200s);
  expect(seen, "failing", "1970-01-01");
  seen.view->parked = "the state does not decode";
  expect(seen, "parked", "the state does not decode");
  seen.hosts = {host("packer 2", true)};
  expect(seen, "silent", "packer 2 did not renew its registration");
  seen.hosts = {};
  expect(seen, "unserved", "no host serves Order");
}

TEST(Verdicts, a_lock_is_explained_with_its_holder_and_what_becomes_of_it) {
  Seen seen = waiting();
  seen.view->lock = LockView{"packer 1", at(40s)};
  expect(seen, "locked", "packer 1 has run its handle_locked for");
  expect(seen, "locked", "semper unlock");
  seen.hosts = {host("packer 1", true), host("packer 3")};
  expect(seen, "locked", "that host is silent, and another one takes the lock over");
  seen.hosts = {};
  expect(seen, "locked", "not registered any more, and to take it over no host serves Order");
}

TEST(Verdicts, a_chain_of_calls_is_named_from_both_of_its_ends) {
  Seen seen = waiting();
  seen.first->callers = {{"Bank", "a"}, {"Bank", "b"}};
  expect(seen, "waiting", "; Bank/a -> Bank/b wait for the reply");
  seen.first->callers.pop_back();
  expect(seen, "waiting", "; Bank/a waits for the reply");
  seen.first->callers.clear();
  seen.chain = {{"Order", "17"}, {"Bank", "a"}, {"Bank", "c"}};
  expect(seen, "chain",
         "; its callback waits for the end of a chain of calls, Order/17 -> Bank/a -> Bank/c");
  seen.view->lock = LockView{"packer 1", at(40s)};
  expect(seen, "locked", "Order/17 -> Bank/a -> Bank/c");
  seen.view->lock.reset();
  seen.view->queue_length = 0;
  seen.first.reset();
  expect(seen, "chain", "nothing waits for Order/17; its callback waits for");
}

TEST(Verdicts, an_entity_with_nothing_to_do_is_idle_or_absent) {
  Seen seen = waiting();
  seen.view->queue_length = 0;
  seen.first.reset();
  expect(seen, "idle", "nothing waits for Order/17");
  seen.view->dead_letters = 1;
  expect(seen, "idle", "1 message of its own failed and was set aside");
  seen.view.reset();
  expect(seen, "absent", "there is no Order/17");
}

}  // namespace
}  // namespace semper::cli
