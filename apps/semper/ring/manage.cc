#include "ring/manage.h"

#include <filesystem>
#include <utility>

#include "common/document.h"
#include "common/text.h"

namespace semper::cli {
namespace {

constexpr Duration kBetweenGrowthLooks = std::chrono::milliseconds(20);

const char* process_text(ProcessState state) {
  switch (state) {
    case ProcessState::alive:
      return "alive";
    case ProcessState::dead:
      return "ended";
    case ProcessState::unknown:
      break;
  }
  return "unknown";
}

Bytes side_item(const ring::SideInfo& side) {
  return Fields()
      .add("position", number_item(side.position.offset()))
      .add("suspend", flag_item(side.suspend))
      .add("attached", flag_item(side.attached))
      .add("process", side.pid == 0 ? null_item() : number_item(side.pid))
      .add("process_state", text_item(process_text(side.process)))
      .add("epoch", number_item(side.epoch))
      .add("text", text_item(side.text))
      .item();
}

Bytes info_item(const BlockDevice& device, const ring::Info& info) {
  return Fields()
      .add("path", text_item(device.name()))
      .add("device", text_item(device.description()))
      .add("format", text_item(ring::to_string(info.format)))
      .add("sector_size", number_item(info.sector_size))
      .add("device_bytes", number_item(info.device_bytes))
      .add("capacity", number_item(info.capacity))
      .add("used", number_item(info.exposed.offset() - info.consumer.position.offset()))
      .add("identity", text_item(info.identity))
      .add("exposed", number_item(info.exposed.offset()))
      .add("producer", side_item(info.producer))
      .add("consumer", side_item(info.consumer))
      .item();
}

// Who has the side, or had it last. A process that was killed has left its mark behind.
std::string side_text(const ring::SideInfo& side, ring::Format format) {
  std::string text = "at " + side.position.to_string();
  if (side.text.empty()) return text;
  if (format == ring::Format::mirage_1_0) return text + ", last written: " + shown(side.text);
  const std::string process = side.pid == 0 ? "" : " (process " + std::to_string(side.pid) + ")";
  if (!side.attached) return text + ", free; last " + shown(side.text);
  if (side.process == ProcessState::dead) {
    return text + ", free; last " + shown(side.text) + process + ", which ended without detaching";
  }
  const bool elsewhere = side.pid != 0 && side.process == ProcessState::unknown;
  return text + ", attached: " + shown(side.text) + process +
         (elsewhere ? " on another machine, in another container or before a restart" : "");
}

std::string pause_text(const ring::Info& info) {
  if (info.consumer.suspend) {
    return info.producer.suspend ? "suspended" : "asked to suspend, not acknowledged yet";
  }
  return info.producer.suspend ? "asked to resume, not acknowledged yet" : "running";
}

void print_info(Invocation& invocation, const BlockDevice& device, const ring::Info& info) {
  const std::uint64_t used = info.exposed.offset() - info.consumer.position.offset();
  std::vector<std::vector<std::string>> rows = {
      {"ring", shown(device.name())},
      {"format", std::string(ring::to_string(info.format))},
      {"device", shown_size(info.device_bytes) + ", sectors of " +
                     std::to_string(info.sector_size) + " bytes, " + device.description()},
      {"items", shown_size(used) + " of " + shown_size(info.capacity) + " used"},
      {"producer", side_text(info.producer, info.format)},
      {"consumer", side_text(info.consumer, info.format)},
      {"state", pause_text(info)}};
  if (!info.identity.empty()) rows.push_back({"identity", info.identity});
  invocation.print(table(rows));
}

// Whether what lies on the device may be written over, where it is neither blank nor a ring.
Async<ring::Overwrite> ask_to_overwrite(Invocation& invocation, BlockDevice& device, bool force) {
  SEMPER_CO_TRY(std::string contents, co_await ring::contents(device));
  if (contents.empty()) co_return ring::Overwrite::blank_only;
  const auto there = co_await ring::inspect(device);
  if (there) co_return ring::Overwrite::blank_only;  // create() says what is to be said
  const ErrorKind kind = there.error().kind();
  if (kind != ErrorKind::not_found && kind != ErrorKind::corrupt) co_return fail(there.error());
  if (kind == ErrorKind::corrupt) contents = "what is left of a ring: " + there.error().message();
  if (!force) {
    SEMPER_CO_TRY_STATUS(invocation.confirm(shown(device.name()) + " holds " + shown(contents) +
                                            "; this destroys what is there (" +
                                            shown_size(device.size()) + ")"));
  }
  co_return kind == ErrorKind::corrupt ? ring::Overwrite::also_a_ring : ring::Overwrite::anything;
}

enum class Wish : std::uint8_t { suspend, resume };

Async<void> ask_producer(Invocation& invocation, RingAskArguments arguments, Wish wish) {
  SEMPER_CO_TRY(const Duration patience, parse_span_option("--timeout", arguments.timeout));
  const char* command = wish == Wish::suspend ? "suspend" : "resume";
  SEMPER_CO_TRY(const auto options, attach_options(arguments.place, command));
  SEMPER_CO_TRY(const auto device, open_ring_device(arguments.place, DeviceAccess::read_write));
  SEMPER_CO_TRY(ring::Consumer consumer, co_await ring::Consumer::attach(*device, options));
  if (wish == Wish::suspend) {
    SEMPER_CO_TRY_STATUS(co_await consumer.suspend());
  } else {
    SEMPER_CO_TRY_STATUS(co_await consumer.resume());
  }
  const auto wanted = wish == Wish::suspend ? ring::State::suspended : ring::State::running;
  Clock& clock = *options.env.clock;
  const MonotonicTime deadline = clock.after(patience);
  const Interrupt& interrupt = invocation.interrupt();
  SEMPER_CO_TRY(ring::State state, co_await consumer.state());
  while (state != wanted && clock.now() < deadline) {
    if (!co_await interrupt.sleep_until(clock, clock.after(kBetweenGrowthLooks))) break;
    SEMPER_CO_TRY(state, co_await consumer.state());
  }
  SEMPER_CO_TRY_STATUS(co_await consumer.detach());
  const bool acknowledged = state == wanted;
  if (!acknowledged && patience > Duration(0)) {
    co_return fail(ErrorKind::timeout,
                   std::string("the producer has not acknowledged in time; the request to ") +
                       command + " stays, see `semper ring info`");
  }
  invocation.mark_done();
  if (invocation.json()) {
    co_return invocation.print_document(Fields()
                                            .add("asked", text_item(command))
                                            .add("acknowledged", flag_item(acknowledged))
                                            .item());
  }
  invocation.say(std::string("asked to ") + command +
                 (acknowledged ? ", acknowledged" : "; the producer has yet to acknowledge"));
  co_return Status{};
}

// Makes the ring on what is at the place; `size`: what it has to have, 0: whatever it has.
Async<void> make_ring(Invocation& invocation, const RingCreateArguments& arguments,
                      ring::CreateOptions options, std::uint64_t size) {
  const std::string& path = arguments.place.path;
  SEMPER_CO_TRY(const auto device, open_ring_device(arguments.place, DeviceAccess::read_write));
  if (size != 0 && size != device->size()) {
    co_return fail(ErrorKind::invalid_argument, shown(path) + " is there and has " +
                                                    std::to_string(device->size()) +
                                                    " bytes; leave --size out to use it as it is");
  }
  SEMPER_CO_TRY(options.overwrite, co_await ask_to_overwrite(invocation, *device, arguments.force));
  SEMPER_CO_TRY_STATUS(co_await ring::create(*device, options));
  SEMPER_CO_TRY(const auto info, co_await ring::inspect(*device, options.sector_size));
  SEMPER_CO_TRY_STATUS(co_await device->close());
  invocation.mark_done();
  if (invocation.json()) co_return invocation.print_document(info_item(*device, info));
  invocation.say("a ring of format " + std::string(ring::to_string(info.format)) + " with " +
                 shown_size(info.capacity) + " of room is in " + shown(path));
  co_return Status{};
}

}  // namespace

Async<void> ring_create(Invocation& invocation, RingCreateArguments arguments) {
  ring::CreateOptions options;
  SEMPER_CO_TRY(options.format, ring::format_from(arguments.format));
  SEMPER_CO_TRY(options.sector_size, sector_size_of(arguments.place));
  std::uint64_t size = 0;
  if (!arguments.size.empty()) {
    auto parsed = parse_size(arguments.size);
    if (!parsed) co_return fail(parsed.error().in("--size"));
    size = *parsed;
    if (size == 0)
      co_return fail(ErrorKind::invalid_argument, "--size is 0; give for example 64MiB");
  }
  const std::string& path = arguments.place.path;
  SEMPER_CO_TRY_STATUS(check_path(path));
  std::error_code ignored;
  const bool is_there = std::filesystem::exists(path, ignored);
  if (!is_there && size == 0) {
    co_return fail(ErrorKind::not_found, "there is no " + shown(path) +
                                             "; give --size, for example --size 64MiB, to make a "
                                             "file");
  }
  if (is_there) co_return co_await make_ring(invocation, arguments, options, size);
  SEMPER_CO_TRY_STATUS(make_ring_file(invocation, path, size));
  const Status made = co_await make_ring(invocation, arguments, options, size);
  if (made) co_return made;
  // Of no use, and nobody else's, unless another process put a ring there meanwhile.
  const ErrorKind kind = made.error().kind();
  const bool is_taken = kind == ErrorKind::conflict || kind == ErrorKind::already_exists;
  if (!is_taken) std::filesystem::remove(path, ignored);
  co_return made;
}

Async<void> ring_info(Invocation& invocation, RingPlace place) {
  SEMPER_CO_TRY(const auto sector_size, sector_size_of(place));
  SEMPER_CO_TRY(const auto device, open_ring_device(place, DeviceAccess::read_only));
  SEMPER_CO_TRY(const auto info, co_await ring::inspect(*device, sector_size));
  if (invocation.json()) co_return invocation.print_document(info_item(*device, info));
  print_info(invocation, *device, info);
  co_return Status{};
}

Async<void> ring_suspend(Invocation& invocation, RingAskArguments arguments) {
  return ask_producer(invocation, std::move(arguments), Wish::suspend);
}

Async<void> ring_resume(Invocation& invocation, RingAskArguments arguments) {
  return ask_producer(invocation, std::move(arguments), Wish::resume);
}

}  // namespace semper::cli
