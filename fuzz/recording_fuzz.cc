// Any text as a recording: what was read is written and read as the same again, and a store takes
// it, shows it, and records it again.
#include <string>

#include "fuzz/fuzz.h"
#include "semper/base/assert.h"
#include "semper/base/log.h"
#include "semper/env/random.h"
#include "semper/memory/memory.h"
#include "semper/server/inspect.h"
#include "semper/server/recording.h"
#include "semper/store/store.h"
#include "semper/testing/simulated_clock.h"
#include "semper/testing/simulated_run.h"
#include "server/format/keys.h"
#include "server/format/records.h"

namespace semper::fuzz {
namespace {

void check_same(const Recording& one, const Recording& other) {
  SEMPER_ASSERT(one.entity == other.entity && one.version == other.version, "the same entity");
  SEMPER_ASSERT(one.left_out == other.left_out, "the same is left out");
  SEMPER_ASSERT(one.rows.size() == other.rows.size(), "no row is lost");
  for (std::size_t i = 0; i < one.rows.size(); ++i) {
    SEMPER_ASSERT(one.rows[i].key == other.rows[i].key, "no key changes");
    SEMPER_ASSERT(one.rows[i].value == other.rows[i].value, "no value changes");
  }
}

Async<void> restore(const Recording& recording, Env env) {
  StoreUrl url;
  url.scheme = "memory";
  SEMPER_CO_TRY(const auto backend, co_await open_memory(url, env));
  const Tenant tenant(Store(backend, env));
  if (co_await restore_recording(tenant, recording)) {
    static_cast<void>(co_await inspect(tenant, recording.entity));
    static_cast<void>(co_await peek_queue(tenant, recording.entity));
    const RecordOptions all;
    static_cast<void>(co_await record_entity(tenant, recording.entity, all));
  }
  co_return co_await backend->close();
}

}  // namespace

std::vector<Bytes> seeds() {
  Recording recording;
  recording.entity = {"Counter", "page/\xc3\xbc"};
  recording.tenant = "t";
  recording.store = "sqlite:./data.db";
  recording.recorded = "2030-01-01T00:00:00Z";
  recording.version = 12;
  const internal::EntityKeys keys("", recording.entity);
  internal::Header header;
  header.stamp = Versionstamp::complete(3, 0, 0);
  header.has_state = true;
  header.state = Bytes("\x81\x01");
  internal::SegmentWriter segment;
  segment.add(Event::cast, {"Add", "\x01"}, {});
  recording.rows = {{keys.header(), header.encode()},
                    {keys.pushed(), Bytes(8, '\x01')},
                    {keys.queue_segment_at(Versionstamp::complete(2, 0, 0)), segment.finish()},
                    {keys.parked(), "why"}};
  return {recording_to_text(recording), "{\"semper_recording\":1}\n", "{\"end\":0}\n"};
}

void check(BytesView input) {
  const auto recording = recording_from_text(input);
  if (!recording) {
    SEMPER_ASSERT(!recording.error().message().empty(), "what is wrong is said");
    return;
  }
  const auto again = recording_from_text(recording_to_text(*recording));
  SEMPER_ASSERT(again.has_value(), "what was read can be written and read");
  check_same(*recording, *again);
  set_log_level(LogLevel::off);
  semper::testing::SimulatedClock clock;
  SeededRandom random(1);
  static_cast<void>(semper::testing::simulated_run(clock, restore(*recording, {&clock, &random})));
}

}  // namespace semper::fuzz
