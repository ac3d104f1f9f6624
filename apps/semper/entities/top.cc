#include "entities/top.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <utility>

#include "common/document.h"
#include "common/text.h"
#include "entities/look.h"
#include "semper/server/inspect.h"
#include "semper/server/list_loads.h"

namespace semper::cli {
namespace {

using Purpose = Invocation::Purpose;

constexpr Duration kRedrawMinimum = std::chrono::milliseconds(100);
// Entities with work that are looked at, of each type; and those of the picture before, which may
// have none any more.
constexpr std::size_t kLookedAt = 1'000;
constexpr std::size_t kRemembered = 1'000;
constexpr const char* kClear = "\x1b[H\x1b[2J";

enum class By : std::uint8_t { waiting, rate, age, name };

struct Row {
  EntityLoad load;
  std::optional<double> rate;  // processed in a second; none at the first look
};

struct TypeSum {
  std::string type;
  std::size_t entities = 0;  // with work, of those looked at
  std::uint64_t waiting = 0;
  double rate = 0;
  std::optional<Duration> oldest;  // of those looked at
  bool has_more = false;
};

struct Picture {
  std::vector<TypeSum> types;
  std::vector<Row> rows;
};

// What was processed by the time of the look before.
class Memory {
 public:
  explicit Memory(MonotonicTime since) : since_(since) {}

  std::vector<std::string> ids_of(const std::string& type) const {
    std::vector<std::string> ids;
    for (const auto& [id, processed] : processed_) {
      if (id.first == type) ids.push_back(id.second);
    }
    return ids;
  }

  std::optional<double> rate_of(const EntityLoad& load, MonotonicTime now) const {
    const auto found = processed_.find({load.id.type, load.id.id});
    // One that was killed begins anew.
    if (found == processed_.end() || load.processed < found->second) return std::nullopt;
    const double seconds = std::chrono::duration<double>(now - since_).count();
    return static_cast<double>(load.processed - found->second) / std::max(seconds, 1e-3);
  }

  void remember(const std::vector<Row>& rows, MonotonicTime now) {
    processed_.clear();
    since_ = now;
    for (const Row& row : rows) {
      if (processed_.size() == kRemembered) break;
      processed_[{row.load.id.type, row.load.id.id}] = row.load.processed;
    }
  }

 private:
  MonotonicTime since_;
  std::map<std::pair<std::string, std::string>, std::uint64_t> processed_;
};

Result<By> parse_by(const std::string& text) {
  if (text == "waiting") return By::waiting;
  if (text == "rate") return By::rate;
  if (text == "age") return By::age;
  if (text == "name") return By::name;
  return fail(ErrorKind::invalid_argument,
              "--by is waiting, rate, age or name, and not \"" + shown(text) + "\"");
}

// The busiest first; those that are equally busy by name, so that rows do not jump.
void sort(std::vector<Row>& rows, By by) {
  const auto name = [](const Row& row) { return std::pair(row.load.id.type, row.load.id.id); };
  std::sort(rows.begin(), rows.end(), [&](const Row& a, const Row& b) {
    if (by == By::waiting && a.load.waiting != b.load.waiting) {
      return a.load.waiting > b.load.waiting;
    }
    if (by == By::age && a.load.oldest != b.load.oldest) return a.load.oldest > b.load.oldest;
    const double rate_a = a.rate.value_or(0);
    const double rate_b = b.rate.value_or(0);
    if (by != By::name && rate_a != rate_b) return rate_a > rate_b;
    return name(a) < name(b);
  });
}

Async<std::vector<std::string>> types_of(const Tenant& tenant, const std::string& only) {
  std::vector<std::string> types;
  if (!only.empty()) {
    types.push_back(only);
    co_return types;
  }
  SEMPER_CO_TRY(const auto views, co_await list_types(tenant));
  for (const auto& view : views) types.push_back(view.type);
  co_return types;
}

Async<Picture> take(const Tenant& tenant, const std::string& only, By by, Memory& memory) {
  Picture picture;
  Clock& clock = *tenant.store()->env().clock;
  SEMPER_CO_TRY(const auto types, co_await types_of(tenant, only));
  for (const auto& type : types) {
    LoadListOptions options;
    options.limit = kLookedAt;
    options.also = memory.ids_of(type);
    options.ages = LoadListOptions::Ages::yes;
    SEMPER_CO_TRY(auto page, co_await list_loads(tenant, type, std::move(options)));
    const MonotonicTime now = clock.now();
    TypeSum sum;
    sum.type = type;
    sum.has_more = page.has_more;
    for (auto& load : page.entities) {
      Row row{std::move(load), std::nullopt};
      row.rate = memory.rate_of(row.load, now);
      if (row.load.waiting > 0) ++sum.entities;
      sum.waiting += row.load.waiting;
      sum.oldest = std::max(sum.oldest, row.load.oldest);
      sum.rate += row.rate.value_or(0);
      picture.rows.push_back(std::move(row));
    }
    picture.types.push_back(std::move(sum));
  }
  sort(picture.rows, by);
  memory.remember(picture.rows, clock.now());
  co_return picture;
}

std::string whole(double rate) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.0f", rate);
  return text.data();
}

std::string age_of(const std::optional<Duration>& oldest) {
  return oldest ? shown_span(*oldest) : "-";
}

std::string state_of(const EntityLoad& load) {
  if (load.is_damaged) return "damaged";
  if (load.is_left_alone) return "left to others";
  return load.is_locked ? "locked" : "";
}

std::string text_of(const Picture& picture, std::uint64_t limit) {
  std::vector<std::vector<std::string>> sums{
      {"TYPE", "WITH WORK", "WAITING", "OLDEST", "PROCESSED/S"}};
  for (const TypeSum& sum : picture.types) {
    sums.push_back({shown(sum.type),
                    std::to_string(sum.entities) + (sum.has_more ? " or more" : ""),
                    std::to_string(sum.waiting), age_of(sum.oldest), whole(sum.rate)});
  }
  std::vector<std::vector<std::string>> rows{
      {"ENTITY", "WAITING", "OLDEST", "PROCESSED/S", "STATE"}};
  for (const Row& row : picture.rows) {
    if (rows.size() > limit) break;
    rows.push_back({shown(row.load.id.to_string()), std::to_string(row.load.waiting),
                    age_of(row.load.oldest), row.rate ? whole(*row.rate) : "-",
                    state_of(row.load)});
  }
  std::string text = table(sums);
  if (rows.size() > 1) text += "\n" + table(rows);
  return text;
}

Bytes item_of(const Picture& picture, std::uint64_t limit) {
  List types;
  for (const TypeSum& sum : picture.types) {
    types.add(Fields()
                  .add("type", text_item(sum.type))
                  .add("with_work", number_item(sum.entities))
                  .add("waiting", number_item(sum.waiting))
                  .add("oldest_seconds", sum.oldest ? seconds_item(*sum.oldest) : null_item())
                  .add("processed_per_second", real_item(sum.rate))
                  .add("more", flag_item(sum.has_more))
                  .item());
  }
  List entities;
  std::uint64_t shown_rows = 0;
  for (const Row& row : picture.rows) {
    if (shown_rows++ == limit) break;
    entities.add(
        Fields()
            .add("entity", text_item(row.load.id.to_string()))
            .add("waiting", number_item(row.load.waiting))
            .add("oldest_seconds", row.load.oldest ? seconds_item(*row.load.oldest) : null_item())
            .add("processed", number_item(row.load.processed))
            .add("processed_per_second", row.rate ? real_item(*row.rate) : null_item())
            .add("locked", flag_item(row.load.is_locked))
            .add("left_to_others", flag_item(row.load.is_left_alone))
            .add("damaged", flag_item(row.load.is_damaged))
            .item());
  }
  return Fields().add("types", types.item()).add("entities", entities.item()).item();
}

}  // namespace

Async<void> top(Invocation& invocation, TopArguments arguments) {
  SEMPER_CO_TRY(const Duration interval, parse_span_option("--interval", arguments.interval));
  if (interval < kRedrawMinimum || interval == kForever) {
    co_return fail(ErrorKind::invalid_argument, "--interval is 100ms at least, and not forever");
  }
  SEMPER_CO_TRY(const By by, parse_by(arguments.by));
  SEMPER_CO_TRY(const Tenant tenant, co_await invocation.open_tenant(Purpose::read));
  if (!arguments.type.empty()) {
    SEMPER_CO_TRY_STATUS(co_await require_type(tenant, arguments.type));
  }
  Clock& clock = *tenant.store()->env().clock;
  const std::uint64_t limit = arguments.limit == 0 ? ~std::uint64_t{0} : arguments.limit;
  MonotonicTime taken = clock.now();
  Memory memory(taken);
  for (std::uint64_t pictures = 0; arguments.count == 0 || pictures < arguments.count; ++pictures) {
    if (pictures > 0) {
      const bool goes_on = co_await invocation.interrupt().sleep_until(clock, taken + interval);
      if (!goes_on) break;
    }
    taken = clock.now();
    SEMPER_CO_TRY(const Picture picture, co_await take(tenant, arguments.type, by, memory));
    if (invocation.json()) {
      SEMPER_CO_TRY_STATUS(invocation.print_event(item_of(picture, limit)));
      continue;
    }
    std::string text = text_of(picture, limit);
    if (invocation.is_watched()) {
      text.insert(0, kClear);
    } else if (pictures > 0) {
      text.insert(0, "\n");
    }
    invocation.print(text);
    SEMPER_CO_TRY_STATUS(invocation.flush());
  }
  co_return Status{};
}

}  // namespace semper::cli
