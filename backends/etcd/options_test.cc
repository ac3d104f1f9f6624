// What an etcd: URL may say, and what is refused by name.
#include "backends/etcd/options.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

namespace semper::etcd {
namespace {

Result<EtcdOptions> parse(const std::string& text) {
  SEMPER_TRY(const auto url, StoreUrl::parse(text));
  return parse_options(url);
}

std::string file_with(const std::string& text) {
  const std::string path = ::testing::TempDir() + "semper-etcd-options-" +
                           std::to_string(::getpid()) + "-" + std::to_string(text.size());
  std::ofstream(path) << text;
  return path;
}

TEST(EtcdOptions, endpoints_are_hosts_with_a_port_or_the_usual_one) {
  const auto options = parse("etcd:10.0.0.1:2381,db.example,[::1]:2379,[fe80::2]?prefix=app/");
  ASSERT_TRUE(options) << options.error().to_string();
  EXPECT_EQ(options->endpoints, (std::vector<std::string>{"10.0.0.1:2381", "db.example:2379",
                                                          "[::1]:2379", "[fe80::2]:2379"}));
  EXPECT_EQ(options->prefix, "app/");
  EXPECT_EQ(options->credentials.kind, rpc::Credentials::Kind::insecure);
}

struct Refused {
  const char* url;
  const char* names;
};

class EtcdOptionsRefused : public ::testing::TestWithParam<Refused> {};

TEST(EtcdOptions, two_slashes_before_the_first_host_are_no_part_of_it) {
  const auto options = parse("etcd://10.0.0.1:2381,db.example");
  ASSERT_TRUE(options) << options.error().to_string();
  EXPECT_EQ(options->endpoints, (std::vector<std::string>{"10.0.0.1:2381", "db.example:2379"}));
}

TEST_P(EtcdOptionsRefused, says_what_is_wrong) {
  const auto options = parse(GetParam().url);
  ASSERT_FALSE(options);
  EXPECT_EQ(options.error().kind(), ErrorKind::invalid_argument) << options.error().to_string();
  EXPECT_NE(options.error().message().find(GetParam().names), std::string::npos)
      << options.error().message();
}

INSTANTIATE_TEST_SUITE_P(
    urls, EtcdOptionsRefused,
    ::testing::Values(Refused{"etcd:", "addresses"}, Refused{"etcd:a:1,,b:2", "addresses"},
                      Refused{"etcd:http://a:2379", "scheme"}, Refused{"etcd:a:0", "HOST:PORT"},
                      Refused{"etcd:::1", "brackets"}, Refused{"etcd:fe80::2:2379", "brackets"},
                      Refused{"etcd:[::1:2379", "brackets"}, Refused{"etcd:a:65536", "HOST:PORT"},
                      Refused{"etcd:a:12x", "HOST:PORT"}, Refused{"etcd:a?prefix=", "prefix"},
                      Refused{"etcd:a?nonsense=1", "nonsense"}, Refused{"etcd:a?tls=off", "tls=on"},
                      Refused{"etcd:a?http_proxy=http://p:1", "http_proxy=on"},
                      Refused{"etcd:a?cert=/x", "come together"},
                      Refused{"etcd:a?password_file=/x", "needs user"},
                      Refused{"etcd:10.0.0.1?user=u&password_file=/x", "over TLS"},
                      Refused{"etcd:a?password=secret", "password_file"}));

TEST(EtcdOptions, a_password_in_the_url_is_refused_and_not_repeated) {
  const auto options = parse("etcd:127.0.0.1?user=u&password=tellnobody");
  ASSERT_FALSE(options);
  EXPECT_EQ(options.error().message().find("tellnobody"), std::string::npos);
}

TEST(EtcdOptions, a_password_comes_from_a_file_or_from_the_environment) {
  const auto path = file_with("secret\n");
  const auto from_file = parse("etcd:127.0.0.1?user=u&password_file=" + path);
  ASSERT_TRUE(from_file) << from_file.error().to_string();
  EXPECT_EQ(from_file->password, "secret");
  EXPECT_EQ(from_file->url.find("secret"), std::string::npos);
  ASSERT_EQ(::setenv(kPasswordVariable, "other", 1), 0);
  const auto from_environment = parse("etcd:localhost:2379,127.0.0.1?user=u");
  ::unsetenv(kPasswordVariable);
  ASSERT_TRUE(from_environment) << from_environment.error().to_string();
  EXPECT_EQ(from_environment->password, "other");
  EXPECT_FALSE(parse("etcd:127.0.0.1?user=u"));
  ::unlink(path.c_str());
}

TEST(EtcdOptions, certificates_are_read_from_their_files) {
  const auto path = file_with("pem of some kind");
  const auto options = parse("etcd:10.0.0.1?ca=" + path + "&cert=" + path + "&key=" + path +
                             "&server_name=db.example");
  ASSERT_TRUE(options) << options.error().to_string();
  EXPECT_EQ(options->credentials.kind, rpc::Credentials::Kind::tls);
  EXPECT_EQ(options->credentials.root_certificates, "pem of some kind");
  EXPECT_EQ(options->credentials.private_key, "pem of some kind");
  EXPECT_EQ(options->server_name, "db.example");
  const auto missing = parse("etcd:10.0.0.1?ca=" + path + ".missing");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind(), ErrorKind::not_found) << missing.error().to_string();
  ::unlink(path.c_str());
}

}  // namespace
}  // namespace semper::etcd
