#include "options.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "key_space.h"
#include "semper/testing/temporary_folder.h"

namespace semper::foundationdb {
namespace {

Result<FoundationDbOptions> parse(const std::string& text) {
  auto url = StoreUrl::parse(text);
  if (!url) return fail(url.error());
  return parse_options(*url);
}

// A cluster file with these lines, for one test.
class ClusterFile {
 public:
  explicit ClusterFile(const std::string& text) { std::ofstream(path()) << text; }
  std::string path() const { return folder_.path("fdb.cluster"); }

 private:
  const testing::TemporaryFolder folder_;
};

// A variable of the environment, for one test.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) { ::setenv(name, value, 1); }
  ~Variable() { ::unsetenv(name_); }

 private:
  const char* name_;
};

TEST(FoundationDbOptions, parameters_are_read_and_the_rest_has_defaults) {
  const auto options = parse("fdb:/etc/fdb.cluster?tenant=orders&api=710&library=/opt/libfdb_c.so");
  ASSERT_TRUE(options) << options.error().to_string();
  EXPECT_EQ(options->cluster_file, "/etc/fdb.cluster");
  EXPECT_EQ(options->tenant, "orders");
  EXPECT_EQ(options->api_version, 710);
  EXPECT_EQ(options->library, "/opt/libfdb_c.so");
  EXPECT_EQ(options->prefix, "semper");
}

TEST(FoundationDbOptions, an_empty_path_is_the_clusters_own_default) {
  const auto options = parse("fdb:");
  ASSERT_TRUE(options) << options.error().to_string();
  EXPECT_EQ(options->cluster_file, "");
  EXPECT_EQ(options->api_version, std::nullopt);
  EXPECT_EQ(options->tenant, "");
}

TEST(FoundationDbOptions, the_library_comes_from_the_environment_where_the_url_is_silent) {
  const Variable variable("SEMPER_FDB_LIBRARY", "/from/environment.so");
  EXPECT_EQ(parse("fdb:")->library, "/from/environment.so");
  EXPECT_EQ(parse("fdb:?library=/from/url.so")->library, "/from/url.so");
}

TEST(FoundationDbOptions, a_wrong_parameter_is_refused_by_name) {
  const std::string long_name(kNameBytesMaximum + 1, 'x');
  for (const std::string& wrong :
       {std::string("api=620"), std::string("api=740"), std::string("api=x"), std::string("api="),
        std::string("tenant="), std::string("tenant=\xff"), "tenant=" + long_name,
        std::string("prefix="), std::string("prefix=a\0b", 10), "prefix=" + long_name,
        std::string("cluster=x")}) {
    const auto options = parse("fdb:x?" + wrong);
    ASSERT_FALSE(options) << wrong;
    EXPECT_EQ(options.error().kind(), ErrorKind::invalid_argument) << wrong;
    const std::string name = wrong.substr(0, wrong.find('='));
    EXPECT_NE(options.error().message().find(name), std::string::npos)
        << options.error().to_string();
  }
}

TEST(FoundationDbOptions, a_cluster_is_described_by_its_coordinators) {
  const ClusterFile file("# made by hand\ntest:id@10.0.0.1:4500,10.0.0.2:4500\n");
  EXPECT_EQ(describe_cluster(file.path()),
            "cluster file " + file.path() + " (coordinators 10.0.0.1:4500,10.0.0.2:4500)");
  EXPECT_EQ(describe_cluster("/nowhere"), "cluster file /nowhere");
}

TEST(FoundationDbOptions, a_file_that_is_no_cluster_file_is_refused_before_the_client_starts) {
  EXPECT_TRUE(check_cluster_file(ClusterFile("test:id@10.0.0.1:4500\n").path()));
  EXPECT_EQ(check_cluster_file("/nowhere/fdb.cluster").error().kind(), ErrorKind::not_found);
  for (const char* wrong : {"", "# only comments\n", "id@10.0.0.1:4500", "test:@x", ":id@x",
                            "test:id@", "int main() {}"}) {
    const ClusterFile file(wrong);
    const auto checked = check_cluster_file(file.path());
    ASSERT_FALSE(checked) << wrong;
    EXPECT_EQ(checked.error().kind(), ErrorKind::invalid_argument) << wrong;
  }
}

TEST(FoundationDbOptions, the_environment_names_the_cluster_file_where_the_url_does_not) {
  const ClusterFile file("test:id@10.0.0.9:4500\n");
  const Variable variable("FDB_CLUSTER_FILE", file.path().c_str());
  EXPECT_TRUE(check_cluster_file(""));
  EXPECT_NE(describe_cluster("").find("10.0.0.9:4500"), std::string::npos);
}

TEST(FoundationDbKeySpace, keys_keep_their_order_and_come_back) {
  const KeySpace keys("orders");
  const Bytes ordered[] = {"",  Bytes("\0", 1), "a",           "a\xff",
                           "b", "\xff",         "\xff/semper", "\xff\xff"};
  for (std::size_t i = 0; i + 1 < std::size(ordered); ++i) {
    EXPECT_LT(keys.in_cluster(ordered[i]), keys.in_cluster(ordered[i + 1]));
  }
  for (const auto& key : ordered) {
    const Bytes mapped = keys.in_cluster(key);
    EXPECT_EQ(keys.in_store(mapped), key);
    EXPECT_TRUE(keys.everything().contains(mapped)) << to_printable(mapped);
    EXPECT_LT(mapped, "\xff") << "FoundationDB's own keys begin there";
  }
}

TEST(FoundationDbKeySpace, stores_whose_names_begin_alike_do_not_meet) {
  const KeySpace one("order");
  const KeySpace other("orders");
  EXPECT_FALSE(one.everything().overlaps(other.everything()));
  EXPECT_FALSE(one.everything().contains(other.in_cluster("key")));
}

}  // namespace
}  // namespace semper::foundationdb
