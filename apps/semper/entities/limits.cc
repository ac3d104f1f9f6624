#include "entities/limits.h"

#include "common/document.h"
#include "common/text.h"

namespace semper::cli {
namespace {

Bytes rate_item(const RateLimit& rate) {
  if (rate.messages == 0) return null_item();
  return Fields()
      .add("messages", number_item(rate.messages))
      .add("per_seconds", seconds_item(rate.per))
      .add("burst", number_item(rate.burst))
      .item();
}

Bytes running_item(int running) {
  return running == 0 ? null_item() : number_item(static_cast<std::uint64_t>(running));
}

}  // namespace

std::string limits_text(const LimitsView& limits) {
  std::string words;
  const auto add = [&](const std::string& one) { words += (words.empty() ? "" : ", ") + one; };
  const auto add_rate = [&](const RateLimit& rate, const std::string& of) {
    if (rate.messages == 0) return;
    add(std::to_string(rate.messages) + " messages in " + shown_latency(rate.per) + of +
        " (burst " + std::to_string(rate.burst) + ")");
  };
  const auto add_running = [&](int running, const std::string& of) {
    if (running > 0) add(std::to_string(running) + " handle_locked at a time" + of);
  };
  const std::string of_key = limits.by_key ? " for each key" : "";
  const std::string of_type = " for all keys";
  add_rate(limits.rate, of_key);
  add_rate(limits.type_rate, of_type);
  add_running(limits.running, of_key);
  add_running(limits.type_running, of_type);
  return words + (limits.refuses ? "; what is over them is refused" : "");
}

Bytes limits_item(const std::optional<LimitsView>& limits) {
  if (!limits) return null_item();
  return Fields()
      .add("rate", rate_item(limits->rate))
      .add("concurrency", running_item(limits->running))
      .add("type_rate", rate_item(limits->type_rate))
      .add("type_concurrency", running_item(limits->type_running))
      .add("by_key", flag_item(limits->by_key))
      .add("over", text_item(limits->refuses ? "refuse" : "wait"))
      .item();
}

}  // namespace semper::cli
