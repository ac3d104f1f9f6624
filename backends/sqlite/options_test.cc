#include "options.h"

#include <unistd.h>

#include "test_place.h"

namespace semper::sqlite {
namespace {

Result<SqliteOptions> parse(const std::string& text) {
  auto url = StoreUrl::parse(text);
  if (!url) return fail(url.error());
  return parse_options(*url);
}

TEST(SqliteOptions, parameters_are_read_and_the_rest_has_defaults) {
  const TestPlace place;
  const auto options = parse(place.url("cache_mib=7&page_size=8192&network=force"));
  ASSERT_TRUE(options) << options.error().to_string();
  EXPECT_EQ(options->cache_mib, 7u);
  EXPECT_EQ(options->page_size, 8192u);
  EXPECT_EQ(options->readers, 16u);
  EXPECT_EQ(options->network, SqliteOptions::Network::force);
  EXPECT_EQ(options->path.file, place.file());
  EXPECT_EQ(options->path.sidecar(), place.file() + "-semper");
}

TEST(SqliteOptions, a_wrong_parameter_is_refused_by_name) {
  const TestPlace place;
  for (const char* wrong : {"readers=0", "readers=x", "readers=", "readers=-1", "cache_mib=1e9",
                            "page_size=1000", "page_size=256", "network=maybe", "reader=3"}) {
    const auto options = parse(place.url(wrong));
    ASSERT_FALSE(options) << wrong;
    EXPECT_EQ(options.error().kind(), ErrorKind::invalid_argument) << wrong;
    const std::string name(wrong, std::string_view(wrong).find('='));
    EXPECT_NE(options.error().message().find(name), std::string::npos)
        << options.error().to_string();
  }
}

TEST(SqliteOptions, a_missing_directory_is_reported_with_the_command_that_makes_it) {
  const TestPlace place;
  const auto options = parse("sqlite:" + place.folder() + "/not/there/store.db");
  ASSERT_FALSE(options);
  EXPECT_EQ(options.error().kind(), ErrorKind::not_found);
  EXPECT_NE(options.error().message().find("mkdir -p"), std::string::npos);
  EXPECT_EQ(place.listing(), "");
}

TEST(SqliteOptions, a_path_that_can_be_no_file_is_refused) {
  const TestPlace place;
  for (const std::string& path : {std::string(), place.folder() + "/", std::string(".."),
                                  std::string(5000, 'x'), std::string("a\0b", 3)}) {
    const auto options = parse("sqlite:" + path);
    ASSERT_FALSE(options) << path.size();
    EXPECT_EQ(options.error().kind(), ErrorKind::invalid_argument) << options.error().to_string();
  }
}

TEST(SqliteOptions, two_names_of_one_file_are_one_store) {
  const TestPlace place;
  write_file(place.file(), "");
  ASSERT_EQ(::symlink(place.file().c_str(), (place.folder() + "/link.db").c_str()), 0);
  const auto options = parse("sqlite:" + place.folder() + "/./link.db");
  ASSERT_TRUE(options) << options.error().to_string();
  EXPECT_EQ(options->path.file, place.file());
  EXPECT_EQ(options->path.directory, place.folder());
}

TEST(SqliteOptions, network_file_systems_are_known_by_their_magic_and_fuse_by_its_type) {
  EXPECT_EQ(network_file_system(0x6969, ""), "NFS");
  EXPECT_EQ(network_file_system(0xff534d42, ""), "CIFS");
  EXPECT_EQ(network_file_system(0x01021997, ""), "9p");
  EXPECT_EQ(network_file_system(0x65735546, "fuse.sshfs"), "fuse.sshfs");
  EXPECT_EQ(network_file_system(0x65735546, "fuseblk"), "");
  EXPECT_EQ(network_file_system(0xef53, ""), "");      // ext4
  EXPECT_EQ(network_file_system(0x01021994, ""), "");  // tmpfs
}

}  // namespace
}  // namespace semper::sqlite
