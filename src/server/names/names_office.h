// NamesOffice: what all parts of one NameRegistry share, and what runs in the background for it.
//
//   callers, by ask()   agents on the registry's loop, with the transactions of name_claims.h
//   keep                renews the session, ends it, and then takes its row away
//   look_after          sees whose rows stand still, buries them and clears what they left
//
// Everything that takes or gives back a name runs on the registry's own loop: a caller that is
// cancelled, or whose loop goes away, leaves nothing half done, and nobody behind it waits for its
// loop. Threads: any.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "semper/base/stop.h"
#include "semper/env/gate.h"
#include "semper/server/entity_id.h"
#include "semper/server/name_options.h"
#include "server/format/lease.h"
#include "server/names/name_claims.h"
#include "server/names/name_session.h"
#include "server/serve/news.h"

namespace semper::internal {

// A holding that its caller's loop does not fetch is given back after this.
inline constexpr Duration kHandoverPatience = std::chrono::seconds(3);
// Times that a claim begins anew because its session was taken for dead.
inline constexpr int kClaimBeginnings = 3;

// One caller's question, as its agent sees it.
struct NameAsking {
  std::atomic<bool> is_left = false;  // the caller waits no more
  MonotonicTime deadline = kNever;
  News news;
  void leave() {
    is_left.store(true);
    news.announce();
  }
};

class NamesOffice : public std::enable_shared_from_this<NamesOffice> {
 public:
  NamesOffice(Tenant of, NameRegistryOptions with, const Executor& executor);

  const Tenant tenant;
  const NameRegistryOptions options;
  const Loop home;
  std::atomic<std::size_t> held{0};

  const Store& store() const { return *tenant.store(); }
  Clock& clock() const { return *store().env().clock; }
  BytesView prefix() const { return tenant.prefix(); }
  bool is_stopping() const { return stopping_.stop_requested(); }

  // Runs make(asking) -> Async<T> on the registry's loop, however the caller ends.
  template <class T>
  Async<T> ask(std::shared_ptr<NameAsking> asking, std::function<Async<T>()> make);

  // To be started by whoever relies on the death of others being noticed.
  void begin_upkeep();

  // The session that is valid now, or a new one.
  Async<std::shared_ptr<NameSession>> session();

  // Ends a claim in the background; a session that ends does it, too.
  void give_back_later(std::shared_ptr<NameSession> session,
                       std::shared_ptr<const NameClaim> claim);
  Async<bool> give_back_now(const std::shared_ptr<NameSession>& session, const NameClaim& claim,
                            LurkingCommit lurking);

  // Waits for `change`, for the caller's leaving, the registry's end, or the time.
  Task<void> wait(std::shared_ptr<NameAsking> asking, std::shared_ptr<Watch> change,
                  MonotonicTime until);

  // Ends everything: agents, session, upkeep.
  void stop();
  // stop(), and waits for it. Error: the row could not be taken away.
  Async<void> close();

  Status check() const;
  Error closed() const { return Error(ErrorKind::closed, "the registry of names was closed"); }

 private:
  template <class T>
  struct Asked;
  template <class T>
  static Task<void> run(std::shared_ptr<Asked<T>> asked);

  Async<std::shared_ptr<NameSession>> open_session();
  static Task<void> keep(std::shared_ptr<NamesOffice> self, std::shared_ptr<NameSession> session,
                         Gate::Holder inside);
  Async<bool> renew(const NameSession& session);
  Async<void> retire(const NameSession& session);
  Async<void> bury_and_clear(const Bytes& session, std::optional<std::uint64_t> renewals);
  Async<void> clear(const Bytes& session);

  struct Seen {
    std::string owner;
    std::uint64_t renewals = 0;
    Duration changed{};  // by attention_
    Duration lease{};
  };
  static Task<void> look_after(std::shared_ptr<NamesOffice> self, Gate::Holder inside);
  Async<void> look();
  Async<void> look_at_sessions(std::map<Bytes, Seen>& seen, Duration now);
  Async<void> look_at_graves();
  Duration until_next_look() const;
  static Task<void> keep_giving_back(std::shared_ptr<NamesOffice> self,
                                     std::shared_ptr<NameSession> session,
                                     std::shared_ptr<const NameClaim> claim, Gate::Holder inside);
  Task<void> pause(Duration at_most);

  const ForkGuard fork_;
  StopSource stopping_;
  Gate gate_{"the registry of names"};
  UnorderedTurns opening_;
  std::atomic<bool> has_upkeep_ = false;

  mutable std::mutex mutex_;
  std::shared_ptr<NameSession> session_;
  Status retired_;
  std::atomic<std::uint64_t> renewals_ = 0;

  // Of look_after alone.
  Attention attention_;
  std::map<Bytes, Seen> seen_;   // by session
  std::map<Bytes, int> graves_;  // seen at so many looks in a row
};

template <class T>
struct NamesOffice::Asked {
  Asked(std::shared_ptr<NamesOffice> of, Gate::Holder in, std::function<Async<T>()> work)
      : office(std::move(of)), inside(std::move(in)), make(std::move(work)) {}
  Asked(const Asked&) = delete;
  Asked& operator=(const Asked&) = delete;
  ~Asked() { answer.set(fail(office->closed())); }

  const std::shared_ptr<NamesOffice> office;
  const Gate::Holder inside;
  const std::function<Async<T>()> make;
  OneShot<Result<T>> answer;
};

template <class T>
Task<void> NamesOffice::run(std::shared_ptr<Asked<T>> asked) {
  Result<T> result = co_await asked->make();
  asked->answer.set(std::move(result));
}

template <class T>
Async<T> NamesOffice::ask(std::shared_ptr<NameAsking> asking, std::function<Async<T>()> make) {
  SEMPER_CO_TRY_STATUS(check());
  auto inside = gate_.enter();
  if (!inside) co_return fail(closed());
  auto asked = std::make_shared<Asked<T>>(shared_from_this(), std::move(*inside), std::move(make));
  auto answer = asked->answer;
  home.spawn([asked] { return run<T>(asked); });
  asked.reset();
  struct Leaving {
    explicit Leaving(std::shared_ptr<NameAsking> of) : asking(std::move(of)) {}
    Leaving(const Leaving&) = delete;
    Leaving& operator=(const Leaving&) = delete;
    ~Leaving() { asking->leave(); }
    const std::shared_ptr<NameAsking> asking;
  };
  const Leaving leaving(std::move(asking));
  auto answered = co_await answer.wait();
  if (!answered) co_return fail(answered.error());
  co_return std::move(*answered);
}

}  // namespace semper::internal
