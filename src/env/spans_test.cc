#include "semper/env/spans.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "semper/env/span_file.h"
#include "semper/testing/temporary_folder.h"

namespace semper {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

Span a_span(std::string name = "process Order.Ship") {
  Span span;
  span.context = *TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
  span.name = std::move(name);
  span.kind = SpanKind::consumer;
  span.start = WallTime(1'700'000'000s);
  span.end = span.start + 1500ns;
  return span;
}

TEST(Spans, are_lines_of_otlp_as_json) {
  SpanBuffer buffer({.service = "shop \"1\""});
  Span span = a_span();
  span.parent = {0, 0, 0, 0, 0, 0, 0, 0x1f};
  span.context.state = "a=1";
  span.attributes.emplace_back("semper.entity", "Order/17\n");
  span.error = "internal: no";
  buffer.add(span);
  EXPECT_EQ(buffer.take_line(),
            R"({"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":)"
            R"({"stringValue":"shop \"1\""}}]},"scopeSpans":[{"scope":{"name":"semper"},"spans":[)"
            R"({"traceId":"4bf92f3577b34da6a3ce929d0e0e4736","spanId":"00f067aa0ba902b7",)"
            R"("parentSpanId":"000000000000001f","traceState":"a=1","flags":1,)"
            R"("name":"process Order.Ship","kind":5,"startTimeUnixNano":"1700000000000000000",)"
            R"("endTimeUnixNano":"1700000000000001500","attributes":[{"key":"semper.entity",)"
            R"("value":{"stringValue":"Order/17\u000a"}}],"status":{"code":2,"message":)"
            R"("internal: no"}}]}]}]})");
  EXPECT_EQ(buffer.take_line(), "");
}

TEST(Spans, have_what_is_not_there_left_out) {
  SpanBuffer buffer;
  Span span = a_span();
  span.end = span.start - 1s;  // a calendar that was put back
  buffer.add(span);
  const std::string line = buffer.take_line();
  EXPECT_THAT(line, Not(HasSubstr("parentSpanId")));
  EXPECT_THAT(line, Not(HasSubstr("traceState")));
  EXPECT_THAT(line, Not(HasSubstr("status")));
  EXPECT_THAT(line, HasSubstr("\"endTimeUnixNano\":\"1700000000000000000\""));
}

TEST(Spans, that_are_not_sampled_are_ignored) {
  SpanBuffer buffer;
  Span span = a_span();
  span.context.flags = 2;
  buffer.add(span);
  EXPECT_EQ(buffer.size(), 0u);
  EXPECT_EQ(buffer.recorded(), 0u);
}

TEST(Spans, past_the_bound_are_dropped_and_counted) {
  SpanBuffer buffer({.max_spans = 3});
  for (int i = 0; i < 5; ++i) buffer.add(a_span("span " + std::to_string(i)));
  EXPECT_EQ(buffer.size(), 3u);
  EXPECT_EQ(buffer.recorded(), 3u);
  EXPECT_EQ(buffer.dropped(), 2u);
  const std::string line = buffer.take_line();
  EXPECT_THAT(line, HasSubstr("span 2"));  // the first ones stay
  EXPECT_THAT(line, Not(HasSubstr("span 3")));
  buffer.add(a_span("later"));
  EXPECT_THAT(buffer.take_line(), HasSubstr("later"));
}

TEST(Spans, of_one_line_are_bounded) {
  SpanBuffer buffer;
  for (std::size_t i = 0; i < kSpansPerLine + 1; ++i) buffer.add(a_span());
  EXPECT_FALSE(buffer.take_line().empty());
  EXPECT_EQ(buffer.size(), 1u);
}

TEST(Spans, are_waited_for_until_the_buffer_is_closed_and_empty) {
  SpanBuffer buffer;
  std::thread later([&] { buffer.add(a_span()); });
  EXPECT_TRUE(buffer.wait());
  later.join();
  buffer.close();
  buffer.add(a_span());
  EXPECT_EQ(buffer.dropped(), 1u);
  EXPECT_TRUE(buffer.wait());
  EXPECT_FALSE(buffer.take_line().empty());
  EXPECT_FALSE(buffer.wait());
}

std::vector<std::string> lines_of(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

std::size_t spans_in(const std::vector<std::string>& lines) {
  std::size_t count = 0;
  for (const auto& line : lines) {
    EXPECT_THAT(line, ::testing::StartsWith("{\"resourceSpans\":"));
    EXPECT_THAT(line, ::testing::EndsWith("]}]}]}"));
    for (auto at = line.find("spanId"); at != std::string::npos; at = line.find("spanId", at + 1)) {
      ++count;
    }
  }
  return count;
}

TEST(SpanFiles, have_all_spans_when_they_are_closed_and_are_appended_to) {
  const testing::TemporaryFolder folder;
  const std::string path = folder.path() + "/spans.jsonl";
  for (std::size_t round = 1; round <= 2; ++round) {
    {
      auto file = SpanFile::open(path);
      ASSERT_TRUE(file) << file.error().to_string();
      for (int i = 0; i < 1000; ++i) (*file)->spans().add(a_span());
      EXPECT_EQ((*file)->spans().dropped(), 0u);
    }
    EXPECT_EQ(spans_in(lines_of(path)), 1000 * round);
  }
}

TEST(SpanFiles, that_cannot_be_opened_say_why) {
  const testing::TemporaryFolder folder;
  const auto file = SpanFile::open(folder.path() + "/none/spans.jsonl");
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().kind(), ErrorKind::not_found) << file.error().to_string();
}

TEST(SpanFiles, that_are_full_lose_spans_and_count_them) {
  auto file = SpanFile::open("/dev/full");
  ASSERT_TRUE(file) << file.error().to_string();
  (*file)->spans().add(a_span());
  while ((*file)->lost() == 0) std::this_thread::yield();
  EXPECT_EQ((*file)->lost(), 1u);
}

TEST(SpanFiles, of_a_parent_do_nothing_in_a_forked_child) {
  const testing::TemporaryFolder folder;
  const std::string path = folder.path() + "/spans.jsonl";
  auto file = SpanFile::open(path);
  ASSERT_TRUE(file);
  const pid_t child = ::fork();
  if (child == 0) {
    file->reset();  // returns at once
    ::_exit(0);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  (*file)->spans().add(a_span());
  file->reset();
  EXPECT_THAT(lines_of(path), SizeIs(1));
}

}  // namespace
}  // namespace semper
