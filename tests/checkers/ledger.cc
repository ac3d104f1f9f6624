#include "ledger.h"

namespace semper::testing {

std::vector<std::string> judge_ledger(std::int64_t paid_in,
                                      const std::map<std::string, AccountBook>& accounts,
                                      const std::map<std::uint64_t, Fate>& transfers) {
  std::vector<std::string> wrong;
  std::map<std::uint64_t, int> out;
  std::map<std::uint64_t, int> in;
  std::int64_t sum = 0;
  for (const auto& [name, book] : accounts) {
    sum += book.balance;
    if (book.balance < 0) {
      wrong.push_back("account " + name + " has " + std::to_string(book.balance));
    }
    for (const auto transfer : book.out) ++out[transfer];
    for (const auto transfer : book.in) ++in[transfer];
  }
  if (sum != paid_in) {
    wrong.push_back("the accounts have " + std::to_string(sum) + " together, and " +
                    std::to_string(paid_in) + " was paid in");
  }
  const auto blame = [&](std::uint64_t transfer, const std::string& what) {
    wrong.push_back("transfer " + std::to_string(transfer) + " " + what);
  };
  for (const auto& [transfer, fate] : transfers) {
    const int times = out.contains(transfer) ? out[transfer] : 0;
    if (times == 0 && fate == Fate::done) blame(transfer, "was acknowledged and never went out");
    if (times > 0 && fate == Fate::refused) blame(transfer, "was refused and went out");
  }
  for (const auto& [transfer, times] : out) {
    if (times > 1) blame(transfer, "went out " + std::to_string(times) + " times");
    if (!transfers.contains(transfer)) blame(transfer, "went out and was never asked for");
    if (!in.contains(transfer)) blame(transfer, "went out and never came in");
  }
  for (const auto& [transfer, times] : in) {
    if (times > 1) blame(transfer, "came in " + std::to_string(times) + " times");
    if (!out.contains(transfer)) blame(transfer, "came in and never went out");
  }
  return wrong;
}

}  // namespace semper::testing
