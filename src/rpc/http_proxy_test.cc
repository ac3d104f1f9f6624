// Who is reached through the proxy of the environment, and who is not.
#include "rpc/http_proxy.h"

#include <gtest/gtest.h>

#include <map>

namespace semper::rpc {
namespace {

using Variables = std::map<std::string, std::string>;

std::optional<EnvironmentProxy> proxy_for(const std::string& target, const Variables& variables) {
  return environment_proxy(target, [&](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

TEST(HttpProxy, the_first_variable_that_is_set_names_it) {
  EXPECT_FALSE(proxy_for("db.example:2379", {}));
  EXPECT_FALSE(proxy_for("db.example:2379", {{"HTTP_PROXY", "http://p:1"}})) << "as gRPC";
  EXPECT_FALSE(proxy_for("db.example:2379", {{"http_proxy", "socks5://p:1"}})) << "as gRPC";
  const auto one = proxy_for("db.example:2379", {{"http_proxy", "http://p:1"}});
  ASSERT_TRUE(one);
  EXPECT_EQ(one->variable, "http_proxy");
  EXPECT_EQ(one->url, "http://p:1");
  const Variables all{
      {"http_proxy", "http://a:1"}, {"https_proxy", "http://b:1"}, {"grpc_proxy", "http://c:1"}};
  EXPECT_EQ(proxy_for("db.example:2379", all)->variable, "grpc_proxy");
}

TEST(HttpProxy, its_password_is_not_told) {
  const auto one = proxy_for("db.example:1", {{"http_proxy", "http://ann:secret@p:3128"}});
  ASSERT_TRUE(one);
  EXPECT_EQ(one->url, "http://p:3128");
}

TEST(HttpProxy, this_machine_is_reached_directly) {
  for (const char* target :
       {"localhost:2379", "127.0.0.1:2379", "127.8.9.1:1", "[::1]:2379", "::1", "app.localhost:1",
        "unix:/run/x.sock", "unix-abstract:x", "dns:///localhost:80", "ipv4:127.0.0.1:80",
        "dns://8.8.8.8/localhost:80", "ipv6:[::1]:80", "[::ffff:127.0.0.1]:80"}) {
    EXPECT_FALSE(proxy_for(target, {{"http_proxy", "http://p:1"}})) << target;
  }
  for (const char* target : {"localhost.example:1", "128.0.0.1:1", "[::2]:1", "dns:///db:80"}) {
    EXPECT_TRUE(proxy_for(target, {{"http_proxy", "http://p:1"}})) << target;
  }
}

TEST(HttpProxy, exceptions_are_names_networks_and_ports) {
  const auto through = [](const std::string& target, const std::string& exceptions) {
    return proxy_for(target, {{"https_proxy", "http://p:1"}, {"no_proxy", exceptions}}).has_value();
  };
  EXPECT_FALSE(through("db.example:1", "db.example"));
  EXPECT_FALSE(through("DB.Example:1", " other , .example"));
  EXPECT_FALSE(through("db.example:1", "*.example"));
  EXPECT_FALSE(through("db.example:1", "*"));
  EXPECT_FALSE(through("10.1.2.3:1", "10.0.0.0/8"));
  EXPECT_FALSE(through("10.1.2.3:1", "10.1.2.3"));
  EXPECT_FALSE(through("[fd00::7]:1", "fd00::/8"));
  EXPECT_FALSE(through("db:2379", "db:2379"));
  EXPECT_TRUE(through("db:2379", "db:2380"));
  EXPECT_TRUE(through("11.1.2.3:1", "10.0.0.0/8,10.1.2.3,x/8,10.0.0.0/x,/,"));
  EXPECT_TRUE(through("db.example:1", "example.org"));
}

TEST(HttpProxy, the_exceptions_for_grpc_alone_come_first) {
  const Variables variables{
      {"http_proxy", "http://p:1"}, {"no_grpc_proxy", "a"}, {"no_proxy", "b"}};
  EXPECT_FALSE(proxy_for("a:1", variables));
  EXPECT_TRUE(proxy_for("b:1", variables));
  EXPECT_FALSE(proxy_for("c:1", {{"http_proxy", "http://p:1"}, {"NO_PROXY", "c"}}));
}

}  // namespace
}  // namespace semper::rpc
