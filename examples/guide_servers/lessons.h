// The lessons of the guide to durable servers (docs/guide-servers.md), each a function that it
// quotes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "customer.h"
#include "offer.h"
#include "order.h"
#include "semper/server/list_timers.h"
#include "shipping.h"
#include "stock.h"
#include "till.h"

namespace guide {

// Calls and casts. Returns what is left of the article.
semper::Async<std::int64_t> sell(semper::Tenant shop, std::string article);

// Several casts in one commit.
semper::Async<void> unload(semper::Tenant shop, std::string article);

// Looks past the queue.
semper::Async<std::int64_t> look(semper::Tenant shop, std::string article);

// A lock: returns the receipt.
semper::Async<std::string> pay(semper::Tenant shop, std::string order);

// A message to another entity, and an action.
semper::Async<std::int64_t> cancel(semper::Tenant shop, std::string order);

// A call that is answered only when somebody delivers: waits as long as that takes.
semper::Async<std::int64_t> wait_for_goods(semper::Tenant shop, std::string article);

// A message that fails, and where it goes. Returns why it was set aside.
semper::Async<std::string> deliver_nothing(semper::Tenant shop, std::string article);

// A line of another system's file.
struct Delivery {
  std::uint64_t line = 0;
  std::string article;
  std::int64_t amount = 0;
};
// Sends the lines, those included that were sent before.
semper::Async<void> import_deliveries(semper::Tenant shop, std::vector<Delivery> deliveries);

// A request that its client may repeat: what is left after the first one. `request`: the client's
// own name for it.
semper::Async<std::int64_t> reserve_once(semper::Tenant shop, std::string article,
                                         std::int64_t amount, std::string request);
// What became of it: "nothing", "on its way", or what was left.
semper::Async<std::string> ask_about(semper::Tenant shop, std::string article, std::string request);

// A message that is sent a day later.
semper::Async<void> offer_tomorrow(semper::Tenant shop, std::string offer);
// The same, however often it is asked for with this request.
semper::Async<void> offer_once(semper::Tenant shop, std::string offer, std::string request);

// Offers with something to do within the next eight hours.
semper::Async<std::vector<semper::TimerView>> due_soon(semper::Tenant shop);

// When a till closes next, and closing one at once.
semper::Result<std::optional<semper::WallTime>> next_closing(semper::WallTime now);
semper::Async<void> close_now(semper::Tenant shop, std::string till);

// A row of the program's own and a message, in one commit.
semper::Async<void> book(semper::Store store, std::string order);

// Goods of one article are packed as another one, both at once or not at all. Returns what is left
// of the first.
semper::Async<std::int64_t> repack(semper::Tenant shop, std::string from, std::string to,
                                   std::int64_t amount);

// The end of an article.
semper::Async<void> discontinue(semper::Tenant shop, std::string article);

// Names that one process holds at a time: counts one more stocktaking, as the one that may. Returns
// how many there were.
semper::Async<std::int64_t> take_stock(semper::Tenant shop, std::string who);

// Reads a map from outside, page by page. Returns the sum of what the customer has bought.
semper::Async<std::int64_t> add_up(semper::Tenant shop, std::string customer);

}  // namespace guide
