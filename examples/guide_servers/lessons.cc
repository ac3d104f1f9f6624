#include "lessons.h"

#include <tuple>
#include <utility>

#include "semper/server/atomically.h"
#include "semper/server/cast_once.h"
#include "semper/server/name_registry.h"

namespace guide {

semper::Async<std::int64_t> sell(semper::Tenant shop, std::string article) {
  auto stock = semper::ref<Stock>(shop, article);

  const Stock::Deliver ten{10};
  SEMPER_CO_TRY_STATUS(co_await stock.cast(ten));

  const Stock::Reserve three{3};
  SEMPER_CO_TRY(const std::int64_t left, co_await stock.call(three));
  co_return left;
}

semper::Async<void> unload(semper::Tenant shop, std::string article) {
  auto stock = semper::ref<Stock>(shop, article);

  semper::Batch<Stock> pallets;
  pallets.add(Stock::Deliver{40}).add(Stock::Deliver{60});
  SEMPER_CO_TRY_STATUS(co_await stock.cast(std::move(pallets)));

  co_return semper::Status{};
}

semper::Async<std::int64_t> look(semper::Tenant shop, std::string article) {
  auto stock = semper::ref<Stock>(shop, article);
  const Stock::Count count;
  co_return co_await stock.priority_call(count);
}

semper::Async<std::string> pay(semper::Tenant shop, std::string order) {
  auto ordered = semper::ref<Order>(shop, order);

  const Order::Pay price{4900};
  const semper::CallOptions patient{.timeout = std::chrono::seconds(30)};
  SEMPER_CO_TRY(const std::string receipt, co_await ordered.call(price, patient));
  co_return receipt;
}

semper::Async<std::int64_t> cancel(semper::Tenant shop, std::string order) {
  auto ordered = semper::ref<Order>(shop, order);
  const Order::Cancel please;
  co_return co_await ordered.call(please);
}

semper::Async<std::int64_t> wait_for_goods(semper::Tenant shop, std::string article) {
  auto stock = semper::ref<Stock>(shop, article);

  const Stock::ReserveWhenThere five{5};
  const semper::CallOptions as_long_as_it_takes{.timeout = semper::kForever};
  co_return co_await stock.call(five, as_long_as_it_takes);
}

semper::Async<std::string> deliver_nothing(semper::Tenant shop, std::string article) {
  auto stock = semper::ref<Stock>(shop, article);

  const Stock::Deliver nothing{0};
  SEMPER_CO_TRY_STATUS(co_await stock.cast(nothing));  // durable, not yet processed

  const Stock::Count count;
  SEMPER_CO_TRY_STATUS(co_await stock.call(count));  // processed after it: the queue goes on

  SEMPER_CO_TRY(const auto dead, co_await semper::list_dead_letters(shop, stock.entity()));
  if (dead.empty()) co_return semper::fail(semper::ErrorKind::not_found, "no dead letter");

  SEMPER_CO_TRY_STATUS(co_await semper::redrive_dead_letters(shop, stock.entity()));
  co_return dead.front().reason;
}

semper::Async<void> import_deliveries(semper::Tenant shop, std::vector<Delivery> deliveries) {
  std::vector<semper::OnceCast> casts;
  for (const Delivery& delivery : deliveries) {
    const semper::EntityId to{"Stock", delivery.article};
    const Stock::Deliver message{delivery.amount};
    casts.push_back({to, {"Deliver", semper::encode(message)}, delivery.line});
  }
  co_return co_await semper::cast_once(shop, "deliveries.csv", std::move(casts));
}

semper::Async<std::int64_t> reserve_once(semper::Tenant shop, std::string article,
                                         std::int64_t amount, std::string request) {
  auto stock = semper::ref<Stock>(shop, article);
  const Stock::Reserve wanted{amount};
  const semper::CallOptions options{.key = semper::IdempotencyKey{request}};
  co_return co_await stock.call(wanted, options);
}

semper::Async<std::string> ask_about(semper::Tenant shop, std::string article,
                                     std::string request) {
  auto stock = semper::ref<Stock>(shop, article);
  using Known = semper::KeyedReply<std::int64_t>::State;
  SEMPER_CO_TRY(const auto known, co_await stock.result_of<Stock::Reserve>(request));
  if (known.state == Known::absent) co_return "nothing";
  if (known.state == Known::pending) co_return "on its way";
  if (!*known.reply) co_return known.reply->error().message();
  co_return std::to_string(**known.reply) + " left";
}

semper::Async<void> offer_tomorrow(semper::Tenant shop, std::string offer) {
  auto offered = semper::ref<Offer>(shop, offer);
  const Offer::Make make{4900, 24};
  co_return co_await offered.cast_after(std::chrono::hours(24), make);
}

semper::Async<void> offer_once(semper::Tenant shop, std::string offer, std::string request) {
  auto offered = semper::ref<Offer>(shop, offer);
  const Offer::Make make{4900, 24};
  const semper::CastOptions once{.key = semper::IdempotencyKey{request}};
  co_return co_await offered.cast_after(std::chrono::hours(24), make, once);
}

semper::Async<std::vector<semper::TimerView>> due_soon(semper::Tenant shop) {
  semper::DueListOptions options;
  options.until = shop.store()->env().clock->wall_time() + std::chrono::hours(8);
  co_return co_await semper::list_due(shop, "Offer", options);
}

semper::Result<std::optional<semper::WallTime>> next_closing(semper::WallTime now) {
  semper::CronOptions closing{.schedule = "30 17 * * mon-fri", .zone = "Europe/Berlin"};
  return semper::next_cron_time(closing, now);
}

semper::Async<void> close_now(semper::Tenant shop, std::string till) {
  const semper::EntityId entity{"Till", till};
  co_return co_await semper::trigger_timer(shop, entity, "closing");
}

semper::Async<void> book(semper::Store store, std::string order) {
  auto shipping = semper::ref<Shipping>(store, "main");

  const auto write = [&](semper::Transaction& transaction) -> semper::Async<void> {
    transaction.set("booked/" + order, "");
    co_return co_await shipping.cast_in<Shipping::Prepare>(transaction, order);
  };
  co_return co_await store.transact(write);
}

semper::Async<std::int64_t> repack(semper::Tenant shop, std::string from, std::string to,
                                   std::int64_t amount) {
  auto loose = semper::ref<Stock>(shop, from);
  auto packed = semper::ref<Stock>(shop, to);

  const auto move = [&](semper::Atomic& tx, Stock::State& here,
                        Stock::State& there) -> semper::Async<std::int64_t> {
    if (here.available < amount) {
      co_return semper::fail(semper::ErrorKind::exhausted, "too few are left");
    }
    here.available -= amount;
    there.available += amount;
    tx.cast(semper::ref<Shipping>(shop, "main"), Shipping::Prepare{"labels for " + to});
    co_return here.available;
  };
  co_return co_await semper::atomically(shop, std::tuple(loose, packed), move);
}

semper::Async<void> discontinue(semper::Tenant shop, std::string article) {
  auto stock = semper::ref<Stock>(shop, article);
  co_return co_await stock.kill();
}

semper::Async<std::int64_t> take_stock(semper::Tenant shop, std::string who) {
  semper::NameRegistryOptions options;
  options.owner = who;
  semper::NameRegistry names(shop, options);

  SEMPER_CO_TRY(auto leader, co_await names.campaign("stocktaking"));

  const auto count = [&](semper::Transaction& transaction) -> semper::Async<std::int64_t> {
    SEMPER_CO_TRY_STATUS(co_await leader.guard(transaction));
    SEMPER_CO_TRY(const auto done, co_await transaction.get("stocktakings"));
    const std::int64_t number = 1 + (done ? std::stoll(*done) : 0);
    transaction.set("stocktakings", std::to_string(number));
    co_return number;
  };
  SEMPER_CO_TRY(const auto number, co_await shop.store()->transact(count));

  SEMPER_CO_TRY_STATUS(co_await names.close());
  co_return number;
}

semper::Async<std::int64_t> add_up(semper::Tenant shop, std::string customer) {
  auto account = semper::ref<Customer>(shop, customer);

  std::int64_t cents = 0;
  std::uint64_t last = 0;
  for (bool more = true; more;) {
    SEMPER_CO_TRY(const auto page, co_await Customer::kPurchases.page_after(account, last, 100));
    for (const auto& [number, purchase] : page.entries) {
      cents += purchase.cents;
      last = number;
    }
    more = page.more;
  }
  co_return cents;
}

}  // namespace guide
