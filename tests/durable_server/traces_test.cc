// Traces: carried by every message, through queues, timers, locks and callbacks, from process to
// process; and spans of what took effect.
#include <gmock/gmock.h>

#include <atomic>
#include <map>

#include "behaviours.h"
#include "semper/env/spans.h"
#include "semper/env/trace_context.h"
#include "world.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

SERVER_SUITE(Traces);

// Remembers the trace of each message that it was told, and passes what it is told on.
struct Relay {
  using State = std::vector<std::string>;  // "NAME TRACEPARENT", or "NAME -"
  struct Note {
    std::string name;
    using Reply = std::string;
  };
  struct Pass {
    std::string to;   // casts a Note there
    std::string how;  // cast, after, every, lock
  };
  struct Fail {};
  using Messages = semper::Messages<Note, Pass, Fail>;

  template <class C>
  static std::string shown(const C& context) {
    const TraceContext* const trace = context.trace();
    return trace == nullptr ? "-" : trace->traceparent();
  }

  Result<State> init(const EntityId&) { return State(); }
  Reply<std::string> handle_call(const Note& m, State& s, Context& context) {
    s.push_back(m.name + " " + shown(context));
    return shown(context);
  }
  void handle_cast(const Note& m, State& s, Context& context) {
    s.push_back(m.name + " " + shown(context));
  }
  Outcome handle_cast(const Pass& m, State& s, Context& context) {
    s.push_back(m.how + " " + shown(context));
    const auto to = semper::ref<Relay>(context.tenant(), m.to);
    const Note note{"passed"};
    if (m.how == "lock") return lock();
    if (m.how == "after") {
      context.send_after("later", 1ms, note);
    } else if (m.how == "every") {
      context.send_every("always", {.period = 1ms, .max_count = 1}, note);
    } else {
      context.cast(to, note);
    }
    return {};
  }
  Async<void> handle_locked(const Pass& m, State& s, LockedContext& context) {
    s.push_back("locked " + shown(context));
    const auto to = semper::ref<Relay>(context.tenant(), m.to);
    const Note note{"passed"};
    context.cast(to, note);
    SEMPER_CO_TRY_STATUS(co_await to.cast(note));
    co_return Status{};
  }
  void handle_cast(const Fail&, State&, Context&) { throw std::runtime_error("it does"); }
};

TraceContext a_trace(World& world, Sampled sampled = Sampled::yes) {
  TraceContext trace = TraceContext::start(*world.env().random, sampled);
  trace.state = "vendor=1";
  return trace;
}

std::string trace_id_in(const std::string& line) {
  const auto at = line.find("00-");
  return at == std::string::npos ? "-" : line.substr(at + 3, 32);
}

Task<std::vector<std::string>> lines_of(World& world, std::string id) {
  const auto relay = world.ref<Relay>(std::move(id));
  const auto view = co_await inspect(Tenant(world.store()), relay.entity());
  if (!view || !view->state) co_return std::vector<std::string>();
  co_return must(decode<Relay::State>(*view->state));
}

std::string traceparent_of(const std::string& line) {
  return line.substr(line.rfind(' ') + 1);
}

SERVER_TEST(Traces, come_with_each_way_of_sending_through_the_queue) {
  const TraceContext trace = a_trace(world);
  auto plain = world.ref<Relay>("r");
  auto relay = plain.traced(trace);
  const Relay::Note plainly{"plain"};
  must(co_await plain.cast(plainly));
  const Relay::Note note{"cast"};
  must(co_await relay.cast(note));
  auto batch = Batch<Relay>().add<Relay::Note>("one").add<Relay::Note>("two");
  must(co_await relay.cast(std::move(batch)));
  const std::string key = "key";
  const CastOptions once{IdempotencyKey{key}};
  const Relay::Note keyed{"keyed"};
  must(co_await relay.cast(keyed, once));
  const auto in_transaction = [&](Transaction& transaction) -> Async<void> {
    const Relay::Note sent{"in"};
    co_return co_await relay.cast_in(transaction, sent);
  };
  must(co_await world.store().transact(in_transaction));
  const auto queue = must(co_await peek_queue(Tenant(world.store()), relay.entity(), 10));
  EXPECT_EQ(queue.front().traceparent, "");
  EXPECT_EQ(queue.back().traceparent, trace.traceparent());
  co_await world.serve<Relay>();
  co_await world.until_processed(relay.untyped());
  const std::string own = trace.traceparent();
  EXPECT_THAT(co_await lines_of(world, "r"),
              ElementsAre("plain -", "cast " + own, "one " + own, "two " + own, "keyed " + own,
                          "in " + own));
  const Relay::Note call{"call"};
  const CallOptions patient{world.patience()};
  EXPECT_EQ(must(co_await relay.call(call, patient)), own);
  const Relay::Note later{"later"};
  must(co_await relay.cast_after(1ms, later));
  co_await world.eventually([&]() -> Task<bool> {
    const auto lines = co_await lines_of(world, "r");
    co_return lines.back() == "later " + own;
  });
  co_await world.until_clean();
}

SERVER_TEST(Traces, come_with_calls_within_a_process) {
  auto& server = *co_await world.serve<Relay>();
  const TraceContext trace = a_trace(world);
  auto relay = server.ref<Relay>("r").traced(trace);
  const Relay::Note call{"call"};
  EXPECT_EQ(must(co_await server.run(relay.call(call))), trace.traceparent());
  EXPECT_EQ(must(co_await server.run(relay.priority_call(call))), trace.traceparent());
  must(co_await server.run(relay.cast(call)));
  EXPECT_THAT(co_await lines_of(world, "r"), Each(HasSubstr(trace.traceparent())));
}

SERVER_TEST(Traces, go_on_with_what_a_callback_sends) {
  auto& server = *co_await world.serve<Relay>();
  const TraceContext trace = a_trace(world, Sampled::no);
  for (const char* how : {"cast", "after", "lock", "every"}) {
    const std::string id = std::string("from ") + how;
    const std::string to =
        how == std::string("after") || how == std::string("every") ? id : std::string("to ") + how;
    const Relay::Pass pass{to, how};
    must(co_await server.run(server.ref<Relay>(id).traced(trace).cast(pass)));
    co_await world.eventually([&]() -> Task<bool> {
      const auto lines = co_await lines_of(world, to);
      co_return !lines.empty() && lines.back().find("passed") == 0;
    });
    const auto lines = co_await lines_of(world, to);
    // A timer that repeats would never end the trace.
    const std::string wanted = how == std::string("every") ? "-" : trace.traceparent();
    EXPECT_EQ(traceparent_of(lines.back()), wanted) << how;
  }
  // handle_locked has sent two, one with its result and one at once.
  co_await world.eventually([&]() -> Task<bool> {
    const auto lines = co_await lines_of(world, "to lock");
    co_return lines.size() == 2;
  });
  EXPECT_THAT(co_await lines_of(world, "to lock"), Each("passed " + trace.traceparent()));
}

SERVER_TEST(Traces, are_still_there_when_a_letter_is_redriven) {
  auto options = quick_options();
  options.message_attempts = 1;
  co_await world.serve<Relay>(std::make_shared<Relay>(), options);
  const TraceContext trace = a_trace(world);
  auto relay = world.ref<Relay>("r").traced(trace);
  must(co_await relay.cast<Relay::Fail>());
  co_await world.until_processed(relay.untyped());
  EXPECT_EQ((co_await world.letters_of(relay.entity())).size(), 1u);
  must(co_await redrive_dead_letters(Tenant(world.store()), relay.entity()));
  co_await world.until_processed(relay.untyped());
  const auto letters = co_await world.letters_of(relay.entity());
  EXPECT_THAT(letters, SizeIs(1));
}

// Names of the spans in the lines, and which is whose parent, by name.
struct Spans {
  std::vector<std::string> names;
  std::map<std::string, std::string> parents;
  std::string text;
};

std::string field(const std::string& span, const std::string& name) {
  const std::string begin = "\"" + name + "\":\"";
  const auto at = span.find(begin);
  if (at == std::string::npos) return "";
  const auto from = at + begin.size();
  return span.substr(from, span.find('"', from) - from);
}

Spans taken(SpanBuffer& buffer) {
  Spans spans;
  std::map<std::string, std::string> names;  // by id
  std::map<std::string, std::string> parents;
  for (std::string line = buffer.take_line(); !line.empty(); line = buffer.take_line()) {
    spans.text += line + "\n";
    const std::string begin = "{\"traceId\":";
    for (auto at = line.find(begin); at != std::string::npos; at = line.find(begin, at + 1)) {
      const std::string span = line.substr(at, line.find("\"attributes\"", at) - at);
      const std::string name = field(span, "name");
      spans.names.push_back(name.substr(0, name.find(' ')) + name.substr(name.rfind('.')));
      names[field(span, "spanId")] = spans.names.back();
      parents[field(span, "spanId")] = field(span, "parentSpanId");
    }
  }
  for (const auto& [id, parent] : parents) spans.parents[names[id]] = names[parent];
  return spans;
}

SERVER_TEST(Traces, have_spans_of_what_took_effect) {
  SpanBuffer buffer;
  auto options = quick_options();
  options.spans = &buffer;
  auto& server = *co_await world.serve<Relay>(std::make_shared<Relay>(), options);
  const TraceContext trace = a_trace(world);
  auto relay = world.ref<Relay>("from").traced(trace, &buffer);
  const Relay::Pass pass{"to", "cast"};
  must(co_await relay.cast(pass));
  co_await world.eventually(
      [&]() -> Task<bool> { co_return !(co_await lines_of(world, "to")).empty(); });
  must(co_await server.run(server.host().stop()));
  Spans spans = taken(buffer);
  // Each once, however often a commit was tried.
  EXPECT_THAT(spans.names,
              UnorderedElementsAre("send.Pass", "wait.Pass", "process.Pass", "commit.Pass",
                                   "send.Note", "wait.Note", "process.Note", "commit.Note"));
  EXPECT_EQ(spans.parents["send.Pass"], "");
  EXPECT_EQ(spans.parents["wait.Pass"], "send.Pass");
  EXPECT_EQ(spans.parents["process.Pass"], "send.Pass");
  EXPECT_EQ(spans.parents["commit.Pass"], "process.Pass");
  EXPECT_EQ(spans.parents["send.Note"], "process.Pass");
  EXPECT_EQ(spans.parents["process.Note"], "send.Note");
  EXPECT_THAT(spans.text, HasSubstr("\"traceState\":\"vendor=1\""));
  EXPECT_EQ(trace_id_in((co_await lines_of(world, "to")).back()),
            trace.traceparent().substr(3, 32));
}

SERVER_TEST(Traces, that_are_not_sampled_have_no_spans_and_go_on) {
  SpanBuffer buffer;
  auto options = quick_options();
  options.spans = &buffer;
  auto& server = *co_await world.serve<Relay>(std::make_shared<Relay>(), options);
  const TraceContext trace = a_trace(world, Sampled::no);
  auto relay = world.ref<Relay>("from").traced(trace, &buffer);
  const Relay::Pass pass{"to", "cast"};
  must(co_await relay.cast(pass));
  co_await world.eventually(
      [&]() -> Task<bool> { co_return !(co_await lines_of(world, "to")).empty(); });
  must(co_await server.run(server.host().stop()));
  EXPECT_THAT(taken(buffer).names, IsEmpty());
  EXPECT_THAT(co_await lines_of(world, "to"), ElementsAre("passed " + trace.traceparent()));
}

SERVER_TEST(Traces, have_spans_of_runs_that_failed_and_of_locks) {
  SpanBuffer buffer;
  auto options = quick_options();
  options.spans = &buffer;
  options.message_attempts = 2;
  auto& server = *co_await world.serve<Relay>(std::make_shared<Relay>(), options);
  const TraceContext trace = a_trace(world);
  auto fails = world.ref<Relay>("fails").traced(trace);
  must(co_await fails.cast<Relay::Fail>());
  co_await world.until_processed(fails.untyped());
  Spans spans = taken(buffer);
  EXPECT_THAT(spans.names, Contains("process.Fail").Times(2));
  EXPECT_THAT(spans.text, HasSubstr("\"status\":{\"code\":2,\"message\":\"internal: "));
  auto locked = world.ref<Relay>("locked").traced(trace);
  const Relay::Pass pass{"to", "lock"};
  must(co_await locked.cast(pass));
  co_await world.eventually(
      [&]() -> Task<bool> { co_return (co_await lines_of(world, "to")).size() == 2; });
  must(co_await server.run(server.host().stop()));
  spans = taken(buffer);
  EXPECT_THAT(spans.names, Contains("locked.Pass").Times(1));
  EXPECT_EQ(spans.parents["locked.Pass"], "");
  EXPECT_THAT(spans.names, Contains("commit.Pass").Times(2));
}

SERVER_TEST(Traces, of_calls_within_a_process_have_no_waiting) {
  SpanBuffer buffer;
  auto options = quick_options();
  options.spans = &buffer;
  auto& server = *co_await world.serve<Relay>(std::make_shared<Relay>(), options);
  const TraceContext trace = a_trace(world);
  auto relay = server.ref<Relay>("r").traced(trace, &buffer);
  const Relay::Note call{"call"};
  must(co_await server.run(relay.call(call)));
  const auto names = taken(buffer).names;
  if (world.is_steady()) {
    EXPECT_THAT(names, UnorderedElementsAre("call.Note", "process.Note", "commit.Note"));
  }
}

// Sends to another entity and waits, within its transaction or under its lock.
struct Inquirer {
  using State = std::int64_t;
  struct Ask {
    std::string to;
    using Reply = std::string;
  };
  struct AskLocked {
    std::string to;
    using Reply = std::string;
  };
  struct Tell {
    std::string to;
    using Reply = std::string;
  };
  using Messages = semper::Messages<Ask, AskLocked, Tell>;
  Result<State> init(const EntityId&) { return 0; }
  Async<std::string> handle_call(const Ask& m, State&, Context& context) {
    const Relay::Note note{"asked"};
    co_return co_await semper::ref<Relay>(context.tenant(), m.to).call(note);
  }
  Async<std::string> handle_call(const Tell& m, State&, Context& context) {
    const Relay::Note note{"told"};
    SEMPER_CO_TRY_STATUS(co_await semper::ref<Relay>(context.tenant(), m.to).cast(note));
    co_return std::string();
  }
  Reply<std::string> handle_call(const AskLocked&, State&, Context&) { return lock(); }
  Async<std::string> handle_locked(const AskLocked& m, State&, LockedContext& context) {
    const Relay::Note note{"asked"};
    co_return co_await semper::ref<Relay>(context.tenant(), m.to).call(note);
  }
};

SERVER_TEST(Traces, have_a_span_of_each_message_that_a_callback_sends_by_a_ref) {
  SpanBuffer spans;
  HostOptions options = quick_options();
  options.spans = &spans;
  auto& server = *co_await world.serve(std::make_shared<Inquirer>(), options);
  co_await world.serve(std::make_shared<Relay>(), options);
  const CallOptions patient{world.patience()};
  std::string lines;
  const auto has_run = [&](std::string end) -> Task<void> {
    co_await world.eventually([&] {
      lines += spans.take_line();
      return lines.find("process semper::testing::Relay.Note") != std::string::npos &&
             lines.find(end) != std::string::npos;
    });
  };
  // The one that gets it belongs to the span of the sending.
  const auto judge = [&](const std::string& sending) {
    const auto at = lines.find(sending);
    EXPECT_NE(at, std::string::npos) << sending << lines;
    const std::string before = at == std::string::npos ? "" : lines.substr(0, at);
    const auto id_at = before.rfind("\"spanId\":\"");
    const std::string span_id = id_at == std::string::npos ? "" : before.substr(id_at + 10, 16);
    EXPECT_THAT(lines, HasSubstr("\"parentSpanId\":\"" + span_id + "\""));
    lines.clear();
  };
  const TraceContext trace = a_trace(world);
  const auto asker = server.ref<Inquirer>("a").traced(trace);
  const std::string id = trace_id_in(trace.traceparent());
  const Inquirer::Ask ask{"r"};
  EXPECT_EQ(trace_id_in(must(co_await server.run(asker.call(ask, patient)))), id);
  co_await has_run("process semper::testing::Inquirer.Ask");
  judge("\"name\":\"call semper::testing::Relay.Note\",\"kind\":3");
  const Inquirer::AskLocked ask_locked{"r"};
  EXPECT_EQ(trace_id_in(must(co_await server.run(asker.call(ask_locked, patient)))), id);
  co_await has_run("locked semper::testing::Inquirer.AskLocked");
  judge("\"name\":\"call semper::testing::Relay.Note\",\"kind\":3");
  const Inquirer::Tell tell{"r"};
  must(co_await server.run(asker.call(tell, patient)));
  co_await has_run("process semper::testing::Inquirer.Tell");
  judge("\"name\":\"send semper::testing::Relay.Note\",\"kind\":4");
  // One that is not sampled has none.
  const auto silent = server.ref<Inquirer>("a").traced(a_trace(world, Sampled::no));
  must(co_await server.run(silent.call(ask, patient)));
  EXPECT_THAT(spans.take_line(), Not(HasSubstr("call semper::testing::Relay.Note")));
}

}  // namespace
}  // namespace semper::testing
