#include "dpkg_log.h"

#include <unistd.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>

#include "gtest/gtest.h"
#include "semper/testing/temporary_folder.h"

namespace packages {
namespace {

using semper::ErrorKind;

std::string status_line(const std::string& time, const std::string& package,
                        const std::string& status = "installed",
                        const std::string& version = "1.0") {
  return "2026-03-01 " + time + " status " + status + " " + package + " " + version + "\n";
}

class DpkgLogTest : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(path(name), std::ios::binary) << text;
    return path(name);
  }
  std::string write_gzip(const std::string& name, const std::string& text) const {
    gzFile file = gzopen(path(name).c_str(), "wb");
    gzwrite(file, text.data(), static_cast<unsigned>(text.size()));
    gzclose(file);
    return path(name);
  }
  semper::Result<DpkgLog> read(std::vector<std::string> files) const {
    DpkgLog log;
    log.files = std::move(files);
    SEMPER_TRY_STATUS(read_dpkg_log(log));
    return log;
  }
  semper::Result<DpkgLog> find_and_read() const {
    SEMPER_TRY(auto log, find_dpkg_logs({folder_}));
    SEMPER_TRY_STATUS(read_dpkg_log(log));
    return log;
  }

  const semper::testing::TemporaryFolder place_;
  const std::string folder_ = place_.path();
};

std::vector<std::string> packages_of(const DpkgLog& log) {
  std::vector<std::string> packages;
  for (const auto& event : log.events) packages.push_back(event.package);
  return packages;
}

TEST_F(DpkgLogTest, it_reads_status_events_and_nothing_else) {
  const auto log = read({write("dpkg.log",
                               "2025-06-24 14:36:25 startup archives unpack\n"
                               "2025-06-24 14:36:25 upgrade libc6:amd64 2.36-9 2.36-10\n"
                               "2025-06-24 14:36:26 status half-configured libc6:amd64 2.36-9\n"
                               "2025-06-24 14:36:27 configure libc6:amd64 2.36-10 <none>\n"
                               "2025-06-24 14:36:27 status not-installed gone:all <none>\n")});
  ASSERT_TRUE(log.has_value()) << log.error().to_string();
  EXPECT_EQ(log->lines, 5u);
  EXPECT_EQ(log->lines_not_understood, 0u);
  ASSERT_EQ(log->events.size(), 2u);
  EXPECT_EQ(log->events[0].package, "libc6:amd64");
  EXPECT_EQ(log->events[0].entry.time, "2025-06-24 14:36:26");
  EXPECT_EQ(log->events[0].entry.status, "half-configured");
  EXPECT_EQ(log->events[0].entry.version, "2.36-9");
  EXPECT_EQ(log->events[1].entry.version, "<none>");
}

TEST_F(DpkgLogTest, events_of_one_second_are_numbered_in_their_order) {
  const auto log =
      read({write("dpkg.log", status_line("10:00:00", "a:all") + status_line("10:00:00", "b:all") +
                                  status_line("10:00:01", "c:all"))});
  ASSERT_TRUE(log.has_value());
  const auto second = parse_time("2026-03-01", "10:00:00").value();
  EXPECT_EQ(log->events[0].entry.position, (Position{second, 0}));
  EXPECT_EQ(log->events[1].entry.position, (Position{second, 1}));
  EXPECT_EQ(log->events[2].entry.position, (Position{second + 1, 0}));
}

TEST_F(DpkgLogTest, positions_rise_where_the_logs_time_goes_back) {
  const auto log = read(
      {write("dpkg.log", status_line("02:59:59", "a:all") + status_line("02:00:01", "b:all") +
                             status_line("02:59:59", "c:all") + status_line("03:00:00", "d:all"))});
  ASSERT_TRUE(log.has_value());
  ASSERT_EQ(log->events.size(), 4u);
  for (std::size_t i = 1; i < log->events.size(); ++i) {
    EXPECT_LT(log->events[i - 1].entry.position, log->events[i].entry.position) << i;
  }
  EXPECT_EQ(log->events[1].entry.time, "2026-03-01 02:00:01");
}

// What the second run relies on: rotation and compression rename files, and events keep their
// positions.
TEST_F(DpkgLogTest, rotation_compression_and_growth_keep_positions) {
  const std::string first = status_line("10:00:00", "a:all") + status_line("10:00:05", "b:all");
  const std::string second = status_line("10:00:05", "c:all") + status_line("10:00:06", "d:all");
  write("dpkg.log.1", first);
  write("dpkg.log", second);
  const auto before = find_and_read();
  ASSERT_TRUE(before.has_value()) << before.error().to_string();
  EXPECT_EQ(packages_of(*before), (std::vector<std::string>{"a:all", "b:all", "c:all", "d:all"}));

  std::filesystem::remove(path("dpkg.log.1"));
  write_gzip("dpkg.log.10.gz", first);
  write("dpkg.log.9", second);
  write("dpkg.log", status_line("10:00:06", "e:all"));
  const auto after = find_and_read();
  ASSERT_TRUE(after.has_value()) << after.error().to_string();
  EXPECT_EQ(packages_of(*after),
            (std::vector<std::string>{"a:all", "b:all", "c:all", "d:all", "e:all"}));
  for (std::size_t i = 0; i < before->events.size(); ++i) {
    EXPECT_EQ(before->events[i].entry, after->events[i].entry) << i;
  }
  EXPECT_LT(after->events[3].entry.position, after->events[4].entry.position);
}

// The second in which the oldest file was cut off: its other events count from 0 again, and so are
// never after what an entity has seen.
TEST_F(DpkgLogTest, deleting_the_oldest_file_never_raises_a_position) {
  write("dpkg.log.2", status_line("10:00:00", "a:all"));
  write("dpkg.log.1", status_line("10:00:00", "b:all") + status_line("10:00:01", "c:all"));
  const auto before = find_and_read();
  std::filesystem::remove(path("dpkg.log.2"));
  const auto after = find_and_read();
  ASSERT_TRUE(before.has_value() && after.has_value());
  ASSERT_EQ(after->events.size(), 2u);
  EXPECT_LE(after->events[0].entry.position, before->events[1].entry.position);
  EXPECT_EQ(after->events[1].entry.position, before->events[2].entry.position);
}

TEST_F(DpkgLogTest, a_file_named_twice_is_read_once) {
  const auto file = write("dpkg.log", status_line("10:00:00", "a:all"));
  std::filesystem::create_symlink(file, path("link"));
  const auto log = read({file, path("link")});
  ASSERT_TRUE(log.has_value());
  EXPECT_EQ(log->events.size(), 1u);
  ASSERT_EQ(log->notes.size(), 1u);
  EXPECT_NE(log->notes[0].find("link was named before"), std::string::npos);
}

TEST_F(DpkgLogTest, a_gzipped_file_next_to_its_plain_one_is_left_out) {
  write("dpkg.log.2", status_line("10:00:00", "a:all"));
  write_gzip("dpkg.log.2.gz", status_line("10:00:00", "a:all"));
  const auto log = find_and_read();
  ASSERT_TRUE(log.has_value());
  EXPECT_EQ(log->events.size(), 1u);
  EXPECT_EQ(log->notes.size(), 1u);
}

TEST_F(DpkgLogTest, a_file_of_another_compression_is_left_out_and_named) {
  write("dpkg.log", status_line("10:00:00", "a:all"));
  write("dpkg.log.2.xz", "?");
  const auto log = find_and_read();
  ASSERT_TRUE(log.has_value());
  EXPECT_EQ(log->files.size(), 1u);
  ASSERT_EQ(log->notes.size(), 1u);
  EXPECT_NE(log->notes[0].find("dpkg.log.2.xz"), std::string::npos);
}

TEST_F(DpkgLogTest, a_folder_without_a_log_says_what_to_do) {
  const auto log = find_dpkg_logs({folder_});
  ASSERT_FALSE(log.has_value());
  EXPECT_EQ(log.error().kind(), ErrorKind::not_found);
  EXPECT_NE(log.error().message().find("--log FILE"), std::string::npos);
}

TEST_F(DpkgLogTest, a_missing_folder_says_why) {
  const auto log = find_dpkg_logs({folder_ + "/absent"});
  ASSERT_FALSE(log.has_value());
  EXPECT_NE(log.error().message().find("No such file"), std::string::npos);
}

TEST_F(DpkgLogTest, a_missing_file_is_named) {
  const auto log = read({path("absent.log")});
  ASSERT_FALSE(log.has_value());
  EXPECT_EQ(log.error().kind(), ErrorKind::not_found);
  EXPECT_NE(log.error().message().find("absent.log"), std::string::npos);
}

TEST_F(DpkgLogTest, a_folder_instead_of_a_file_is_an_error) {
  const auto log = read({folder_});
  ASSERT_FALSE(log.has_value());
  EXPECT_NE(log.error().message().find(folder_), std::string::npos);
}

TEST_F(DpkgLogTest, a_cut_off_gzip_file_is_corrupt) {
  std::string text;
  for (int i = 0; i < 1000; ++i)
    text += status_line("10:00:00", "p" + std::to_string(i * 7919) + ":all");
  const auto file = write_gzip("dpkg.log.1.gz", text);
  std::filesystem::resize_file(file, std::filesystem::file_size(file) / 2);
  const auto log = read({file});
  ASSERT_FALSE(log.has_value());
  EXPECT_EQ(log.error().kind(), ErrorKind::corrupt) << log.error().to_string();
  EXPECT_NE(log.error().message().find("dpkg.log.1.gz"), std::string::npos);
}

TEST_F(DpkgLogTest, a_damaged_gzip_file_is_corrupt) {
  const auto file = write_gzip("dpkg.log.1.gz", status_line("10:00:00", "a:all"));
  std::fstream damaged(file, std::ios::in | std::ios::out | std::ios::binary);
  damaged.seekp(-6, std::ios::end);
  damaged.write("xxxx", 4);
  damaged.close();
  const auto log = read({file});
  ASSERT_FALSE(log.has_value());
  EXPECT_EQ(log.error().kind(), ErrorKind::corrupt) << log.error().to_string();
}

TEST_F(DpkgLogTest, a_line_that_is_still_being_written_is_left_for_later) {
  const std::string line = status_line("10:00:01", "b:all");
  const auto log =
      read({write("dpkg.log", status_line("10:00:00", "a:all") + line.substr(0, line.size() - 1))});
  ASSERT_TRUE(log.has_value());
  EXPECT_EQ(log->events.size(), 1u);
}

TEST_F(DpkgLogTest, lines_of_another_form_are_counted_and_the_first_is_named) {
  const auto log = read({write(
      "dpkg.log", status_line("10:00:00", "a:all") +
                      "2026-03-01 10:00:00 status installed\n"          // too short
                      "2026-13-01 10:00:00 status installed a:all 1\n"  // no month
                      "2026-03-01 10:00:00 status installed a:all 1 more\n"
                      "2026-03-01 10:00:00 status installed \xff 1\n"
                      "free text\n" +
                      "2026-03-01 10:00:00 status installed " + std::string(3000, 'x') + " 1\n")});
  ASSERT_TRUE(log.has_value());
  EXPECT_EQ(log->events.size(), 1u);
  EXPECT_EQ(log->lines_not_understood, 6u);
  EXPECT_EQ(log->first_not_understood, path("dpkg.log") + ":2");
}

TEST_F(DpkgLogTest, an_endless_line_takes_bounded_memory_and_is_not_understood) {
  const auto log = read(
      {write("dpkg.log",
             status_line("10:00:00", "a:all") + "2026-03-01 10:00:00 status installed a:all 1" +
                 std::string(1 << 20, 'x') + " y\n" + status_line("10:00:01", "b:all"))});
  ASSERT_TRUE(log.has_value());
  EXPECT_EQ(packages_of(*log).back(), "b:all");
}

TEST(ParseTime, it_counts_seconds_of_the_calendar) {
  EXPECT_EQ(parse_time("1970-01-02", "00:00:01").value(), 86'401);
  EXPECT_EQ(parse_time("2024-02-29", "23:59:59").value(), 1'709'251'199);
}

TEST(ParseTime, it_refuses_what_is_not_a_time) {
  for (const auto& [date, time] :
       std::vector<std::pair<std::string, std::string>>{{"2023-02-29", "10:00:00"},
                                                        {"2023-2-9", "10:00:00"},
                                                        {"2023-02-09", "24:00:00"},
                                                        {"2023-02-09", "10:60:00"},
                                                        {"2023-02-09", "1x:00:00"},
                                                        {"", ""}}) {
    EXPECT_FALSE(parse_time(date, time).has_value()) << date << ' ' << time;
  }
}

TEST(CutAfter, it_keeps_events_until_the_position) {
  std::vector<StatusEvent> events(3);
  for (int i = 0; i < 3; ++i) events[i].entry.position = {10, i};
  cut_after(events, {10, 1});
  EXPECT_EQ(events.size(), 2u);
  cut_after(events, {9, 5});
  EXPECT_TRUE(events.empty());
}

}  // namespace
}  // namespace packages
