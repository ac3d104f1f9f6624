#include "store/keys.h"

#include <algorithm>
#include <utility>

#include "common/document.h"
#include "common/text.h"
#include "semper/env/one_shot.h"
#include "semper/store/subspace.h"
#include "semper/store/tuple_text.h"

namespace semper::cli {
namespace {

using Purpose = Invocation::Purpose;

// Keys from here on belong to Semper and the backends (store/keys.h).
constexpr char kReservedKeys = '\xff';
constexpr std::size_t kRowsPerPage = 1000;
// A watch that heard nothing for so long is looked at again all the same.
constexpr Duration kWatchRenewal = std::chrono::minutes(1);

constexpr const char* kSeeRange = "; `semper store range` shows what there is";

// Why a key is not to be written by hand; empty where it may.
std::string owner_of(BytesView key) {
  if (key.starts_with(kReservedKeys)) return "to Semper itself";
  if (key.starts_with('\xfe')) return "to the directories";
  if (key.starts_with(Tenant::default_prefix())) return "to entities";
  return "";
}

Status confirm_write(Invocation& invocation, BytesView key, std::string_view what) {
  const auto owner = owner_of(key);
  if (owner.empty()) return {};
  return invocation.confirm("key " + printable_key(key) + " belongs " + owner + "; " +
                            std::string(what) + " it by hand can make them unreadable");
}

Bytes row_item(BytesView key, BytesView value) {
  return Fields()
      .add("key", text_item(printable_key(key)))
      .add("value", stored_item(value))
      .add("key_hex", text_item(to_hex(key)))
      .add("value_hex", text_item(to_hex(value)))
      .item();
}

Status report_written(Invocation& invocation, const char* done, BytesView key,
                      const Versionstamp& stamp) {
  invocation.mark_done();
  if (invocation.json()) {
    return invocation.print_document(Fields()
                                         .add("key", text_item(printable_key(key)))
                                         .add("done", text_item(done))
                                         .add("versionstamp", text_item(stamp.to_string()))
                                         .item());
  }
  return {};
}

Result<KeyRange> range_of(const RangeArguments& arguments) {
  KeyRange keys{"", Bytes(1, kReservedKeys)};
  if (!arguments.prefix.empty()) {
    SEMPER_TRY(const Bytes prefix, parse_key(arguments.prefix));
    auto all = prefix_range(prefix);
    if (!all) return fail(ErrorKind::invalid_argument, "no key begins with " + arguments.prefix);
    keys = std::move(*all);
  }
  if (!arguments.from.empty()) {
    SEMPER_TRY(const Bytes from, parse_key(arguments.from));
    keys.begin = std::max(keys.begin, from);
  }
  if (!arguments.to.empty()) {
    SEMPER_TRY(const Bytes to, parse_key(arguments.to));
    keys.end = std::min(keys.end, to);
  }
  return keys;
}

// Prints the rows, page by page. Each page is as of one moment; the pages follow each other.
Async<void> print_rows(Invocation& invocation, const Store& store, KeyRange rest,
                       const RangeArguments& arguments, ValueForm form) {
  std::size_t left = arguments.limit == 0 ? ~std::size_t{0} : arguments.limit;
  bool more = true;
  while (more && left > 0 && !rest.empty()) {
    RangeOptions options;
    options.limit = std::min(left, kRowsPerPage);
    options.order = arguments.reverse ? Order::descending : Order::ascending;
    SEMPER_CO_TRY(const auto page, co_await store.transact([&](Transaction& transaction) {
      return transaction.get_range(rest, options);
    }));
    for (const auto& row : page.rows) {
      if (invocation.json()) {
        SEMPER_CO_TRY_STATUS(invocation.print_event(row_item(row.key, row.value)));
        continue;
      }
      // A row that is not of the form asked for is no reason to hide the others.
      const auto value = show_value(row.value, form);
      invocation.say(printable_key(row.key) + "  " + (value ? *value : shown_value(row.value)));
    }
    left -= page.rows.size();
    more = page.more && !page.rows.empty();
    if (!more) break;
    if (arguments.reverse) {
      rest.end = page.rows.back().key;
    } else {
      rest.begin = key_after(page.rows.back().key);
    }
  }
  if (more && left == 0) invocation.note("there may be more rows; see all with --limit 0");
  co_return Status{};
}

struct Watched {
  std::optional<Bytes> value;
  std::unique_ptr<Watch> watch;
};

Async<Watched> look(const Store& store, Bytes key) {
  const auto both = [&key](Transaction& transaction) -> Async<Watched> {
    Watched seen;
    SEMPER_CO_TRY(seen.value, co_await transaction.get(key));
    SEMPER_CO_TRY(seen.watch, co_await transaction.watch(key));
    co_return std::move(seen);
  };
  co_return co_await store.transact(both);
}

// Waits until the watch fires, or the stop is requested. The watch may outlive the wait; it ends
// with the store, or by its deadline.
Async<void> wait_for(std::unique_ptr<Watch> watch, Clock& clock, const Interrupt& interrupt) {
  OneShot<Status> news;
  const StopCallback on_stop(interrupt.token(), [news]() mutable { news.set(Status{}); });
  const MonotonicTime deadline = clock.after(kWatchRenewal);
  asio::co_spawn(
      co_await asio::this_coro::executor,
      [](std::unique_ptr<Watch> watched, OneShot<Status> changed,
         MonotonicTime until) -> Task<void> {
        changed.set(co_await watched->changed(until));
      }(std::move(watch), news, deadline),
      asio::detached);
  SEMPER_CO_TRY(const Status status, co_await news.wait());
  if (!status && status.error().kind() == ErrorKind::timeout) co_return Status{};
  co_return status;
}

Status print_value(Invocation& invocation, BytesView key, const std::optional<Bytes>& value,
                   ValueForm form) {
  if (invocation.json()) {
    if (value) return invocation.print_event(row_item(key, *value));
    return invocation.print_event(
        Fields().add("key", text_item(printable_key(key))).add("value", null_item()).item());
  }
  const auto text = value ? show_value(*value, form) : Result<std::string>("(nothing is stored)");
  if (!text) return fail(text.error());
  invocation.say(*text);
  return invocation.flush();
}

}  // namespace

Async<void> get(Invocation& invocation, KeyArguments arguments) {
  SEMPER_CO_TRY(const Bytes key, parse_key(arguments.key));
  SEMPER_CO_TRY(const auto form, parse_value_form(arguments.form));
  SEMPER_CO_TRY(const Store store, co_await invocation.open(Purpose::read));
  SEMPER_CO_TRY(const auto value, co_await store.transact([&](Transaction& transaction) {
    return transaction.get(key);
  }));
  if (!value) {
    co_return fail(ErrorKind::not_found,
                   "nothing is stored at key " + printable_key(key) + kSeeRange);
  }
  if (invocation.json()) co_return invocation.print_document(row_item(key, *value));
  SEMPER_CO_TRY(const auto text, show_value(*value, form));
  if (form == ValueForm::raw) {
    invocation.print(text);
  } else {
    invocation.say(text);
  }
  co_return Status{};
}

Async<void> set(Invocation& invocation, KeyArguments arguments) {
  SEMPER_CO_TRY(const Bytes key, parse_key(arguments.key));
  SEMPER_CO_TRY(const auto form, parse_value_form(arguments.form));
  auto parsed = parse_value(arguments.value, form);
  if (!parsed) co_return fail(parsed.error().in("value"));
  const Bytes value = std::move(*parsed);
  SEMPER_CO_TRY_STATUS(confirm_write(invocation, key, "setting"));
  SEMPER_CO_TRY(const Store store, co_await invocation.open(Purpose::change));
  Versionstamp stamp;
  TransactOptions options;
  options.committed_at = &stamp;
  const auto write = [&](Transaction& transaction) -> Async<void> {
    transaction.set(key, value);
    co_return Status{};
  };
  SEMPER_CO_TRY_STATUS(co_await store.transact(write, options));
  co_return report_written(invocation, "set", key, stamp);
}

Async<void> clear(Invocation& invocation, KeyArguments arguments) {
  SEMPER_CO_TRY(const Bytes key, parse_key(arguments.key));
  SEMPER_CO_TRY_STATUS(confirm_write(invocation, key, "clearing"));
  SEMPER_CO_TRY(const Store store, co_await invocation.open(Purpose::change));
  Versionstamp stamp;
  TransactOptions options;
  options.committed_at = &stamp;
  const auto write = [&](Transaction& transaction) -> Async<void> {
    SEMPER_CO_TRY(const auto old, co_await transaction.get(key));
    if (!old) {
      co_return fail(ErrorKind::not_found,
                     "nothing is stored at key " + printable_key(key) + kSeeRange);
    }
    transaction.clear(key);
    co_return Status{};
  };
  SEMPER_CO_TRY_STATUS(co_await store.transact(write, options));
  co_return report_written(invocation, "clear", key, stamp);
}

Async<void> range(Invocation& invocation, RangeArguments arguments) {
  SEMPER_CO_TRY(const KeyRange keys, range_of(arguments));
  SEMPER_CO_TRY(const auto form, parse_value_form(arguments.form));
  SEMPER_CO_TRY(const Store store, co_await invocation.open(Purpose::read));
  co_return co_await print_rows(invocation, store, keys, arguments, form);
}

Async<void> watch(Invocation& invocation, WatchArguments arguments) {
  SEMPER_CO_TRY(const Bytes key, parse_key(arguments.key));
  SEMPER_CO_TRY(const auto form, parse_value_form(arguments.form));
  SEMPER_CO_TRY(const Store store, co_await invocation.open(Purpose::read));
  const Interrupt& interrupt = invocation.interrupt();
  Clock& clock = *store.env().clock;
  std::optional<std::optional<Bytes>> last;
  for (std::uint64_t printed = 0; !interrupt.requested();) {
    SEMPER_CO_TRY(Watched seen, co_await look(store, key));
    if (!last || *last != seen.value) {
      SEMPER_CO_TRY_STATUS(print_value(invocation, key, seen.value, form));
      last = seen.value;
      if (++printed == arguments.count) break;
    }
    SEMPER_CO_TRY_STATUS(co_await wait_for(std::move(seen.watch), clock, interrupt));
  }
  co_return Status{};
}

}  // namespace semper::cli
