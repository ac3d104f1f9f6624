#include "semper/env/trace_context.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace semper {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

const std::string kTrace = "4bf92f3577b34da6a3ce929d0e0e4736";
const std::string kSpan = "00f067aa0ba902b7";
const std::string kParent = "00-" + kTrace + "-" + kSpan + "-01";

TEST(TraceContexts, a_traceparent_comes_back_as_it_was) {
  for (const char* flags : {"00", "01", "03", "ff"}) {
    const std::string header = "00-" + kTrace + "-" + kSpan + "-" + flags;
    const auto trace = TraceContext::parse(header);
    ASSERT_TRUE(trace);
    EXPECT_EQ(trace->traceparent(), header);
    EXPECT_EQ(trace->is_sampled(), std::string(flags) != "00");
  }
  EXPECT_TRUE(TraceContext::parse("  " + kParent + "\t"));
}

TEST(TraceContexts, what_is_no_traceparent_is_refused_and_named) {
  const std::string zeros(32, '0');
  for (const std::string& header :
       {std::string(), std::string("00"), kParent.substr(1), kParent + "0", kParent + "-",
        kParent + "-more", "ff-" + kTrace + "-" + kSpan + "-01",
        "0x-" + kTrace + "-" + kSpan + "-01", "00-" + zeros + "-" + kSpan + "-01",
        "00-" + kTrace + "-" + zeros.substr(16) + "-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-" + kSpan + "-01",
        "00_" + kTrace + "-" + kSpan + "-01", "00-" + kTrace + "-" + kSpan + "-0g",
        std::string(4096, '-')}) {
    const auto trace = TraceContext::parse(header);
    ASSERT_FALSE(trace) << header;
    EXPECT_EQ(trace.error().kind(), ErrorKind::invalid_argument);
    EXPECT_THAT(trace.error().message(), HasSubstr("not a traceparent"));
  }
}

TEST(TraceContexts, a_later_version_is_read_as_far_as_it_is_known) {
  for (const std::string more : {"", "-and-more"}) {
    const auto trace = TraceContext::parse("cc-" + kTrace + "-" + kSpan + "-ff" + more);
    ASSERT_TRUE(trace);
    EXPECT_EQ(trace->traceparent(), kParent);
  }
  EXPECT_FALSE(TraceContext::parse("cc-" + kTrace + "-" + kSpan + "-01more"));
}

TEST(TraceContexts, a_tracestate_is_kept_within_its_bounds) {
  const auto state = [](const std::string& header) {
    return TraceContext::parse(kParent, header)->state;
  };
  EXPECT_EQ(state("a=1,b=2"), "a=1,b=2");
  EXPECT_EQ(state(" a=1 ,, b@c/d=x y\t,"), "a=1,b@c/d=x y");
  EXPECT_EQ(state("a"), "");  // not well-formed: dropped whole, and the trace is not
  EXPECT_EQ(state("a=1,B=2"), "");
  EXPECT_EQ(state("a=\x01"), "");
  EXPECT_EQ(state("a=1=2"), "");
  std::string many;
  for (std::size_t i = 0; i < kTraceStateMembers + 5; ++i) many += "k" + std::to_string(i) + "=1,";
  EXPECT_THAT(state(many), StartsWith("k0=1,k1=1"));
  EXPECT_EQ(state(many), state(many.substr(0, many.find("k32="))));
  std::string large;
  for (int i = 0; i < 10; ++i) large += "k" + std::to_string(i) + "=" + std::string(100, 'x') + ",";
  EXPECT_LE(state(large).size(), kTraceStateBytes);
  EXPECT_THAT(state(large), HasSubstr("k3="));
}

TEST(TraceContexts, begin_and_go_on_with_the_given_chance) {
  SeededRandom random(1);
  SeededRandom again(1);
  const auto trace = TraceContext::start(random, Sampled::yes);
  EXPECT_EQ(trace, TraceContext::start(again, Sampled::yes));
  EXPECT_TRUE(trace.is_sampled());
  EXPECT_TRUE(TraceContext::parse(trace.traceparent()));
  const auto child = trace.child(random);
  EXPECT_EQ(child.trace_id, trace.trace_id);
  EXPECT_NE(child.span_id, trace.span_id);
  EXPECT_FALSE(TraceContext::start(random, Sampled::no).is_sampled());
}

}  // namespace
}  // namespace semper
