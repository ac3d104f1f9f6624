#include "ring/flow.h"

#include <unistd.h>

#include <array>
#include <utility>

#include "common/document.h"
#include "common/input_reader.h"
#include "common/text.h"
#include "ring/records.h"
#include "semper/base/internal/mutant.h"

namespace semper::cli {
namespace {

constexpr std::size_t kReadBytes = 256u << 10;
// How long a wait for the other side lasts before an interrupt is looked for.
constexpr Duration kWaitSlice = std::chrono::milliseconds(200);
// How often a producer without input looks for what the consumer asks.
constexpr Duration kIdleLook = std::chrono::milliseconds(500);
// Items published, or removed, at once.
constexpr std::size_t kBatchItems = 1024;

struct Flow {
  std::uint64_t items = 0;
  std::uint64_t bytes = 0;
  ring::Position position;
};

Bytes flow_item(const char* done, const Flow& flow) {
  return Fields()
      .add("done", text_item(done))
      .add("items", number_item(flow.items))
      .add("bytes", number_item(flow.bytes))
      .add("position", number_item(flow.position.offset()))
      .item();
}

std::string flow_text(const Flow& flow) {
  return std::to_string(flow.items) + " items with " + shown_size(flow.bytes);
}

std::string produced_text(const Flow& flow) {
  return flow.items == 0 ? "nothing was put into the ring" : flow_text(flow) + " are in the ring";
}

// Puts records into a ring as they come.
class Producing {
 public:
  Producing(Invocation& invocation, BlockDevice& device, ring::Producer& producer, Clock& clock,
            Duration patience)
      : device_(device),
        producer_(producer),
        clock_(clock),
        patience_(patience),
        progress_(invocation.progress(clock)),
        interrupt_(invocation.interrupt()) {}

  // Until the input ends or an interrupt comes. What was published before an error is in `flow()`.
  Async<void> run(RecordForm form) {
    RecordCutter cutter(form, producer_.max_item_bytes());
    InputReader reader(STDIN_FILENO, interrupt_.token());
    std::vector<char> buffer(kReadBytes);
    while (true) {
      // Answers a consumer that asks for a pause although there is nothing to push, and notices
      // that the ring is gone.
      for (;;) {
        SEMPER_CO_TRY(const bool ready, reader.wait(kIdleLook));
        if (ready) break;
        SEMPER_CO_TRY_STATUS(device_.check_place());
        SEMPER_CO_TRY(const ring::State state, co_await producer_.state());
        static_cast<void>(state);
      }
      SEMPER_CO_TRY(const std::size_t got, reader.read(buffer));
      if (got == 0) break;
      cutter.add(BytesView(buffer.data(), got));
      SEMPER_CO_TRY_STATUS(co_await publish_all(cutter, &RecordCutter::next));
      if (interrupt_.requested()) break;
    }
    if (!interrupt_.requested()) {
      SEMPER_CO_TRY_STATUS(co_await publish_all(cutter, &RecordCutter::last));
    }
    if (interrupt_.requested()) count_rest(cutter);
    if (left_out_ == 0) co_return Status{};
    co_return fail(ErrorKind::cancelled, "interrupted; " + std::to_string(left_out_) +
                                             " records that were read are not in the ring");
  }

  const Flow& flow() const { return flow_; }
  bool interrupted() const { return interrupt_.requested(); }

 private:
  using Next = Result<std::optional<BytesView>> (RecordCutter::*)();

  // The records that are whole; those before a wrong one are published all the same.
  Async<void> publish_all(RecordCutter& cutter, Next next) {
    while (!interrupt_.requested()) {
      std::vector<BytesView> batch;
      Status status;
      while (batch.size() < kBatchItems) {
        auto record = (cutter.*next)();
        if (!record) status = fail(record.error());
        if (!record || !*record) break;
        batch.push_back(**record);
      }
      if (batch.empty()) co_return status;
      SEMPER_CO_TRY_STATUS(co_await publish(batch));
      if (!status) co_return status;
    }
    co_return Status{};
  }

  // What was read and not yet handed to the ring; the last record may lack its end.
  void count_rest(RecordCutter& cutter) {
    while (true) {
      const auto record = cutter.last();
      if (record && !*record) break;
      ++left_out_;
      if (!record) break;
    }
  }

  // A batch that is larger than what the ring takes at once goes in by halves. What an interrupt
  // leaves out is counted.
  Async<void> publish(std::span<const BytesView> batch) {
    const MonotonicTime deadline = clock_.after(patience_);
    while (!interrupt_.requested()) {
      // Acknowledges what the consumer asks for; a push looks by itself only where the consumer is
      // on this machine.
      SEMPER_CO_TRY(const ring::State state, co_await producer_.state());
      if (state == ring::State::suspended) {
        if (clock_.now() >= deadline) co_return fail(paused());
        co_await interrupt_.sleep_until(clock_, std::min(deadline, clock_.after(kWaitSlice)));
        continue;
      }
      const ring::ItemList items(batch);
      const MonotonicTime slice = std::min(deadline, clock_.after(kWaitSlice));
      const auto end = co_await producer_.publish(items, slice);
      if (end) {
        flow_.position = *end;
        flow_.items += batch.size();
        for (const BytesView item : batch) flow_.bytes += item.size();
        progress_.update(flow_.items, flow_.bytes);
        co_return Status{};
      }
      const ErrorKind kind = end.error().kind();
      const bool too_many = kind == ErrorKind::invalid_argument || kind == ErrorKind::exhausted ||
                            kind == ErrorKind::timeout || kind == ErrorKind::retry;
      if (too_many && batch.size() > 1) {
        SEMPER_CO_TRY_STATUS(co_await publish(batch.first(batch.size() / 2)));
        batch = batch.subspan(batch.size() / 2);
        continue;
      }
      const bool waiting =
          kind == ErrorKind::timeout || kind == ErrorKind::retry || kind == ErrorKind::suspended;
      if (!waiting) co_return fail(end.error());
      if (clock_.now() >= deadline) co_return fail(not_in_time(end.error()));
    }
    left_out_ += batch.size();
    co_return Status{};
  }

  static Error paused() {
    return Error(ErrorKind::suspended,
                 "the consumer has suspended the ring, and did not resume it in time; see "
                 "`semper ring resume`");
  }

  static Error not_in_time(const Error& error) {
    if (error.kind() != ErrorKind::timeout) return error;
    return Error(ErrorKind::timeout,
                 "the ring has no room, or is suspended, and that did not change in time");
  }

  BlockDevice& device_;
  ring::Producer& producer_;
  Clock& clock_;
  const Duration patience_;
  Progress progress_;
  const Interrupt& interrupt_;
  Flow flow_;
  std::uint64_t left_out_ =
      0;  // records that were read, and that an interrupt kept out of the ring
};

// Takes items out of a ring as they come.
class Consuming {
 public:
  // `consumer`: null for show().
  Consuming(Invocation& invocation, ring::Consumer* consumer, Clock& clock,
            const RingConsumeArguments& arguments)
      : invocation_(invocation),
        consumer_(consumer),
        clock_(clock),
        arguments_(arguments),
        interrupt_(invocation.interrupt()) {}

  // The items that are there, without a side of the ring and without changing a byte.
  Async<void> show(BlockDevice& device, ring::AttachOptions options) {
    const std::function<Status(const ring::ItemView&)> visit =
        [&](const ring::ItemView& item) -> Status {
      if (interrupt_.requested() || left() == 0) return fail(ErrorKind::cancelled, "enough");
      SEMPER_TRY_STATUS(write({{item.start, item.after, Bytes(item.bytes)}}));
      ++flow_.items;
      flow_.bytes += item.bytes.size();
      return {};
    };
    const std::function<Status(const ring::Damage&)> damaged = [&](const ring::Damage& damage) {
      return pass_over(damage);
    };
    const auto end = co_await ring::read_all(device, visit, damaged, std::move(options));
    const bool had_enough = interrupt_.requested() || left() == 0;
    if (end || had_enough) co_return Status{};
    co_return fail(end.error());
  }

  Async<void> run() {
    std::optional<ring::Position> from;
    while (!interrupt_.requested() && left() > 0) {
      ring::PopLimits limits;
      limits.max_items = std::min<std::uint64_t>(left(), kBatchItems);
      const MonotonicTime deadline = arguments_.follow ? clock_.after(kWaitSlice) : ring::kNoWait;
      const auto items = co_await consumer_->pop_many(from, limits, deadline);
      if (!items) {
        const ErrorKind kind = items.error().kind();
        const bool nothing = kind == ErrorKind::retry || kind == ErrorKind::timeout;
        if (nothing) SEMPER_CO_TRY_STATUS(co_await remove_damage());
        if (nothing && arguments_.follow) continue;
        if (nothing) break;
        co_return fail(items.error());
      }
      if (SEMPER_MUTANT("tool_items_removed_before_they_are_shown")) {
        SEMPER_CO_TRY_STATUS(co_await consumer_->advance(items->back().after));
      }
      SEMPER_CO_TRY_STATUS(write(*items));
      flow_.position = items->back().after;
      if (arguments_.keep) {
        from = flow_.position;
      } else {
        SEMPER_CO_TRY_STATUS(co_await consumer_->advance(flow_.position));
      }
      flow_.items += items->size();
      for (const auto& item : *items) flow_.bytes += item.bytes.size();
    }
    co_return Status{};
  }

  const Flow& flow() const { return flow_; }

 private:
  std::uint64_t left() const {
    return arguments_.count == 0 ? ~std::uint64_t{0} : arguments_.count - flow_.items;
  }

  // Damage that no item is behind: what was passed over goes with the next item otherwise.
  Async<void> remove_damage() {
    if (arguments_.keep) co_return Status{};
    const std::vector<ring::Damage> damage = consumer_->damage();
    if (damage.empty() || damage.back().after <= consumer_->consumed()) co_return Status{};
    co_return co_await consumer_->advance(damage.back().after);
  }

  Status pass_over(const ring::Damage& damage) {
    const std::string stretch = "damage from position " + damage.start.to_string() + " to " +
                                damage.after.to_string() + ": " + damage.why;
    if (!arguments_.skip_damage) {
      return fail(ErrorKind::corrupt, stretch + "; go past it with --skip-damage");
    }
    invocation_.note("passed over " + stretch);
    return {};
  }

  Status write(const std::vector<ring::Item>& items) {
    const RecordForm form = arguments_.framed ? RecordForm::framed : RecordForm::lines;
    Bytes out;
    for (const auto& item : items) {
      if (invocation_.json()) {
        SEMPER_TRY_STATUS(invocation_.print_event(
            Fields()
                .add("start", number_item(item.start.offset()))
                .add("after", number_item(item.after.offset()))
                .add("text", is_utf8(item.bytes) ? text_item(item.bytes) : null_item())
                .add("hex", text_item(to_hex(item.bytes)))
                .item()));
      } else {
        append_record(out, item.bytes, form);
      }
    }
    invocation_.print(out);
    return invocation_.flush();
  }

  Invocation& invocation_;
  ring::Consumer* const consumer_;
  Clock& clock_;
  const RingConsumeArguments& arguments_;
  const Interrupt& interrupt_;
  Flow flow_;
};

ring::TakeOver take_over(bool wanted) {
  return wanted ? ring::TakeOver::yes : ring::TakeOver::no;
}

ring::Flush flush_of(bool never) {
  return never ? ring::Flush::never : ring::Flush::always;
}

}  // namespace

Async<void> ring_produce(Invocation& invocation, RingProduceArguments arguments) {
  SEMPER_CO_TRY(const Duration patience, parse_span_option("--timeout", arguments.timeout));
  SEMPER_CO_TRY(auto options, attach_options(arguments.place, "produce"));
  options.flush = flush_of(arguments.no_flush);
  options.take_over = take_over(arguments.take_over);
  SEMPER_CO_TRY(const auto device,
                open_ring_device(arguments.place, DeviceAccess::read_write, options.flush));
  SEMPER_CO_TRY(ring::Producer producer, co_await ring::Producer::attach(*device, options));
  Flow flow;
  Status status;
  {
    Producing producing(invocation, *device, producer, *options.env.clock, patience);
    status = co_await producing.run(arguments.framed ? RecordForm::framed : RecordForm::lines);
    flow = producing.flow();
    if (flow.items == 0) flow.position = producer.exposed();
    if (status && producing.interrupted()) {
      invocation.note("interrupted; nothing that was read was left out");
    }
  }
  const Status detached = co_await producer.detach();
  if (!status) {
    co_return fail(status.error().kind(), status.error().message() + "; " + produced_text(flow));
  }
  SEMPER_CO_TRY_STATUS(detached);
  invocation.mark_done();
  if (invocation.json()) co_return invocation.print_document(flow_item("produce", flow));
  invocation.note(produced_text(flow) +
                  (flow.items == 0 ? ", which ends at position " : ", up to position ") +
                  flow.position.to_string());
  co_return Status{};
}

namespace {

// Items that stay, and nobody waits for more: the ring need not be writable, and its consumer may
// be at work.
Async<void> ring_show(Invocation& invocation, RingConsumeArguments arguments,
                      ring::AttachOptions options) {
  SEMPER_CO_TRY(const auto device, open_ring_device(arguments.place, DeviceAccess::read_only));
  ring::Consumer* const nobody = nullptr;
  Consuming showing(invocation, nobody, *options.env.clock, arguments);
  SEMPER_CO_TRY_STATUS(co_await showing.show(*device, options));
  SEMPER_CO_TRY_STATUS(co_await device->close());
  if (!invocation.json()) invocation.note(flow_text(showing.flow()) + " were shown, and stay");
  co_return Status{};
}

}  // namespace

Async<void> ring_consume(Invocation& invocation, RingConsumeArguments arguments) {
  SEMPER_CO_TRY(auto options, attach_options(arguments.place, "consume"));
  if (arguments.keep && !arguments.follow) {
    co_return co_await ring_show(invocation, std::move(arguments), std::move(options));
  }
  options.flush = flush_of(arguments.no_flush);
  options.take_over = take_over(arguments.take_over);
  if (arguments.skip_damage) options.on_damage = ring::OnDamage::skip;
  SEMPER_CO_TRY(const auto device,
                open_ring_device(arguments.place, DeviceAccess::read_write, options.flush));
  SEMPER_CO_TRY(ring::Consumer consumer, co_await ring::Consumer::attach(*device, options));
  Flow flow;
  Status status;
  {
    Consuming consuming(invocation, &consumer, *options.env.clock, arguments);
    status = co_await consuming.run();
    flow = consuming.flow();
  }
  for (const auto& damage : consumer.damage()) {
    invocation.note("passed over damage from position " + damage.start.to_string() + " to " +
                    damage.after.to_string() + ": " + damage.why);
  }
  const Status detached = co_await consumer.detach();
  SEMPER_CO_TRY_STATUS(status);
  SEMPER_CO_TRY_STATUS(detached);
  if (!invocation.json()) {
    invocation.note(flow_text(flow) +
                    (arguments.keep ? " were shown, and stay" : " were taken out"));
  }
  co_return Status{};
}

}  // namespace semper::cli
