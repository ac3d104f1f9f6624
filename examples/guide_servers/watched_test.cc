// What the guide says of traces.
#include "watched.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "semper/base/metrics.h"
#include "semper/sync.h"
#include "semper/testing/temporary_folder.h"

namespace guide {
namespace {

using ::testing::HasSubstr;

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(WatchedTest, a_request_can_be_followed_to_the_commit) {
  const semper::testing::TemporaryFolder folder;
  const std::string path = folder.path() + "/spans.jsonl";
  const std::string trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
  {
    const auto file = semper::SpanFile::open(path, {.service = "shop"});
    ASSERT_TRUE(file);
    semper::metrics::Registry registry;
    semper::Scheduler scheduler;
    scheduler.block_on([&]() -> semper::Task<void> {
      auto shop = co_await semper::open_store("memory:");
      EXPECT_TRUE(shop);
      semper::HostOptions options;
      options.spans = &(*file)->spans();
      options.metrics = &registry;
      semper::Host host(*shop, options);
      host.serve<Stock>();
      EXPECT_TRUE(co_await host.start());
      const Stock::Deliver two{2};
      EXPECT_TRUE(co_await semper::ref<Stock>(*shop, "chair").cast(two));
      const std::string header = "00-" + trace_id + "-00f067aa0ba902b7-01";
      auto left = co_await reserve_traced(*shop, "chair", header, "", &(*file)->spans());
      EXPECT_TRUE(left && *left == 1);
      left = co_await reserve_traced(*shop, "chair", "no header", "", nullptr);
      EXPECT_TRUE(left && *left == 0);
      EXPECT_TRUE(co_await host.stop());
    }());
    EXPECT_THAT(registry.to_prometheus(), HasSubstr("semper_server_messages_total"));
  }
  const std::string spans = text_of(path);
  for (const char* name : {"call Stock.Reserve", "process Stock.Reserve", "commit Stock.Reserve"}) {
    EXPECT_THAT(spans, HasSubstr(name));
  }
  EXPECT_THAT(spans, HasSubstr(trace_id));
}

TEST(WatchedTest, without_an_endpoint_nothing_is_sent) {
  ::unsetenv("OTEL_EXPORTER_OTLP_ENDPOINT");
  ::unsetenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
  const auto sender = make_sender();
  ASSERT_TRUE(sender);
  EXPECT_EQ(*sender, nullptr);
}

}  // namespace
}  // namespace guide
