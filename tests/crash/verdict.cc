#include "verdict.h"

#include <algorithm>
#include <set>

namespace semper::testing {
namespace {

// What the journals say about one publisher's posts to one ledger.
struct Claims {
  std::set<std::uint64_t> intents;
  std::set<std::uint64_t> done;
  std::set<std::uint64_t> refused;
  std::map<std::uint64_t, std::uint64_t> receipts;  // number -> Receipt::applied
};

class Judge {
 public:
  Judge(const std::vector<Step>& steps, const std::map<std::string, Ledger::State>& ledgers)
      : ledgers_(ledgers) {
    for (const auto& step : steps) take(step);
  }

  Verdict run(const Ledger::State& total) {
    for (const auto& [place, claims] : claims_) check_claims(place.first, place.second, claims);
    for (const auto& [ledger, state] : ledgers_) {
      for (const auto& [publisher, account] : state) {
        if (!claims_.contains({ledger, publisher})) {
          blame(ledger, publisher, "is in the ledger and never posted");
        }
        check_forwarded(ledger, publisher, account, total);
      }
    }
    for (const auto& [sender, account] : total) {
      if (!seen_in_total_.contains(sender)) {
        verdict_.wrong.push_back("total: " + sender + " never sent anything on");
      }
    }
    return std::move(verdict_);
  }

 private:
  void blame(const std::string& ledger, const std::string& publisher, const std::string& what) {
    verdict_.wrong.push_back(ledger + ": " + publisher + " " + what);
  }

  void take(const Step& step) {
    Claims& claims = claims_[{step.ledger, step.publisher}];
    switch (step.kind) {
      case Step::Kind::intent:
        claims.intents.insert(step.number);
        break;
      case Step::Kind::call_done:
        claims.receipts[step.number] = step.detail;
        claims.done.insert(step.number);
        break;
      case Step::Kind::cast_done:
        claims.done.insert(step.number);
        break;
      case Step::Kind::refused:
        claims.refused.insert(step.number);
        break;
      case Step::Kind::failed:
        break;
      case Step::Kind::wrong_reply:
        blame(step.ledger, step.publisher,
              "got another message's reply to number " + std::to_string(step.number));
        break;
    }
  }

  const Account& account_of(const std::string& ledger, const std::string& publisher) const {
    static const Account kNone;
    const auto found = ledgers_.find(ledger);
    if (found == ledgers_.end()) return kNone;
    const auto account = found->second.find(publisher);
    return account == found->second.end() ? kNone : account->second;
  }

  void check_claims(const std::string& ledger, const std::string& publisher, const Claims& claims) {
    const Account& account = account_of(ledger, publisher);
    const std::set<std::uint64_t> missed(account.missed.begin(), account.missed.end());
    const auto is_there = [&](std::uint64_t number) {
      return number <= account.last && !missed.contains(number);
    };
    if (account.repeats > 0) {
      blame(ledger, publisher,
            "has " + std::to_string(account.repeats) + " posts applied twice or out of order");
    }
    if (account.applied + missed.size() != account.last) {
      blame(ledger, publisher, "has an account that does not add up");
    }
    for (const auto number : claims.intents) {
      if (claims.done.contains(number)) {
        ++verdict_.acknowledged;
        if (!is_there(number))
          blame(ledger, publisher, "lost acknowledged post " + std::to_string(number));
      } else if (claims.refused.contains(number)) {
        if (is_there(number))
          blame(ledger, publisher, "has post " + std::to_string(number) + ", which was refused");
      } else {
        ++verdict_.open;
        if (is_there(number)) ++verdict_.open_applied;
      }
    }
    if (account.last > 0 && !claims.intents.contains(account.last)) {
      blame(ledger, publisher,
            "has post " + std::to_string(account.last) + ", which was never sent");
    }
    for (const auto& [number, applied] : claims.receipts) {
      const auto before = std::distance(missed.begin(), missed.lower_bound(number));
      const auto expected = number - static_cast<std::uint64_t>(before);
      if (applied != expected) {
        blame(ledger, publisher,
              "was told " + std::to_string(applied) + " in reply to call " +
                  std::to_string(number) + ", and the state says " + std::to_string(expected));
      }
    }
  }

  // Sent in the same transaction: the total has each of them, once, in order.
  void check_forwarded(const std::string& ledger, const std::string& publisher,
                       const Account& account, const Ledger::State& total) {
    if (account.forwarded == 0) return;
    const std::string sender = ledger + " " + publisher;
    seen_in_total_.insert(sender);
    const auto found = total.find(sender);
    const Account received = found == total.end() ? Account() : found->second;
    if (received.last != account.forwarded || received.applied != account.forwarded ||
        received.repeats > 0) {
      blame(ledger, publisher,
            "sent on " + std::to_string(account.forwarded) + " posts, and the total has " +
                std::to_string(received.applied) + " (last number " +
                std::to_string(received.last) + ", " + std::to_string(received.repeats) +
                " repeated)");
    }
  }

  const std::map<std::string, Ledger::State>& ledgers_;
  std::map<std::pair<std::string, std::string>, Claims> claims_;  // by ledger and publisher
  std::set<std::string> seen_in_total_;
  Verdict verdict_;
};

}  // namespace

Verdict judge(const std::vector<Step>& steps, const std::map<std::string, Ledger::State>& ledgers,
              const Ledger::State& total) {
  return Judge(steps, ledgers).run(total);
}

}  // namespace semper::testing
