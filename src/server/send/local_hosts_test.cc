#include "server/send/local_hosts.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <typeinfo>
#include <utility>

#include "server/send/operation.h"

namespace semper::internal {
namespace {

// Looks for itself when it ends, as a behaviour's destructor may.
class LookingServer final : public LocalServer {
 public:
  LookingServer(LocalHosts& hosts, std::string type) : hosts_(hosts), type_(std::move(type)) {}
  ~LookingServer() override { static_cast<void>(hosts_.find({}, type_)); }
  LookingServer(const LookingServer&) = delete;
  LookingServer& operator=(const LookingServer&) = delete;

  const std::string& type() const override { return type_; }
  std::type_index behaviour_type() const override {
    asked();
    return typeid(LookingServer);
  }
  std::shared_ptr<Behaviour> behaviour() override { return nullptr; }
  Status submit(const std::shared_ptr<const Target>&, Operation&&, const Executor&) override {
    return {};
  }

  std::function<void()> asked = [] {};

 private:
  LocalHosts& hosts_;
  const std::string type_;
};

TEST(LocalHostsOfAProcess, are_found_last_one_first_and_not_after_they_were_removed) {
  LocalHosts hosts;
  const auto first = std::make_shared<LookingServer>(hosts, "T");
  const auto second = std::make_shared<LookingServer>(hosts, "T");
  const auto other = std::make_shared<LookingServer>(hosts, "U");
  EXPECT_TRUE(hosts.add("a", first));
  EXPECT_TRUE(hosts.add("a", second));
  EXPECT_TRUE(hosts.add("b", first));
  EXPECT_TRUE(hosts.add("a", other));
  EXPECT_EQ(hosts.find("a", "T"), second);
  hosts.remove("a", *second);
  EXPECT_EQ(hosts.find("a", "T"), first);
  EXPECT_EQ(hosts.find("b", "T"), first);
  hosts.remove("a", *first);
  EXPECT_EQ(hosts.find("a", "T"), nullptr);
  EXPECT_EQ(hosts.find("b", "T"), first);
  EXPECT_EQ(hosts.find("a", "U"), other);
}

// Its owner goes while it is looked at.
TEST(LocalHostsOfAProcess, end_without_the_lock) {
  LocalHosts hosts;
  auto going = std::make_shared<LookingServer>(hosts, "T");
  going->asked = [&] { going.reset(); };
  EXPECT_TRUE(hosts.add("a", going));
  const auto coming = std::make_shared<LookingServer>(hosts, "T");
  EXPECT_TRUE(hosts.add("a", coming));
  EXPECT_EQ(going, nullptr);
  hosts.remove("a", *coming);
  EXPECT_EQ(hosts.find("a", "T"), nullptr);
}

}  // namespace
}  // namespace semper::internal
