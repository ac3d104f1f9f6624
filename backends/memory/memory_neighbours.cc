#include "backends/memory/memory_neighbours.h"

#include <utility>

#include "semper/base/internal/mutant.h"
#include "semper/env/fork.h"

namespace semper::memory {

// Both ends of a link: 0 has connected, 1 has accepted.
class MemoryLink {
 public:
  MemoryLink(std::shared_ptr<MemoryNeighbours> all, MemoryNeighbours::Member connected,
             MemoryNeighbours::Member accepted)
      : all_(std::move(all)), members_{connected, accepted} {}

  std::uint64_t number = 0;  // set before anybody else sees it

  MemoryNeighbours::Member member(std::size_t end) const { return members_[end]; }
  internal::NeighbourInbox& inbox(std::size_t end) { return inboxes_[end]; }

  Status send(std::size_t end, Bytes message) {
    SEMPER_TRY_STATUS(internal::check_neighbour_message(message));
    auto& other = inboxes_[1 - end];
    SEMPER_TRY_STATUS(other.put(std::move(message)));
    other.deliver();
    return {};
  }

  void close(std::size_t end, const char* why) {
    // Counted no longer before anybody is told: who is told may connect again.
    all_->remove_link(*this);
    inboxes_[1 - end].end(Error(ErrorKind::closed, why));
    inboxes_[end].end_now(Error(ErrorKind::closed, "this end of the link was closed"));
    inboxes_[1 - end].deliver();
    inboxes_[end].deliver();
  }

  void drop() {
    all_->remove_link(*this);
    for (auto& inbox : inboxes_) inbox.drop();
  }

 private:
  const std::shared_ptr<MemoryNeighbours> all_;
  const MemoryNeighbours::Member members_[2];
  internal::NeighbourInbox inboxes_[2];
};

namespace {

// What the user of one end holds.
class MemoryLinkEnd final : public NeighbourLink {
 public:
  MemoryLinkEnd(std::shared_ptr<MemoryLink> link, std::size_t end)
      : link_(std::move(link)), end_(end) {}
  ~MemoryLinkEnd() override { close(); }

  Status send(Bytes message) override {
    SEMPER_TRY_STATUS(fork_.check("this link"));
    return link_->send(end_, std::move(message));
  }
  void close() override {
    if (fork_.is_foreign() || link_->inbox(end_).has_ended()) return;
    link_->close(end_, "the other process has closed the link");
  }

 private:
  const std::shared_ptr<MemoryLink> link_;
  const std::size_t end_;
  const ForkGuard fork_{};
};

}  // namespace

class MemoryNeighbours::MemoryListening final : public Neighbours::Listening {
 public:
  MemoryListening(std::shared_ptr<MemoryNeighbours> all, std::uint64_t number)
      : all_(std::move(all)), number_(number) {}
  ~MemoryListening() override {
    if (!fork_.is_foreign()) all_->stop_listening(number_);
  }

 private:
  const std::shared_ptr<MemoryNeighbours> all_;
  const std::uint64_t number_;
  const ForkGuard fork_{};
};

MemoryNeighbours::Member MemoryNeighbours::join() {
  std::lock_guard lock(mutex_);
  members_[++last_member_];
  return last_member_;
}

void MemoryNeighbours::leave(Member member) {
  std::vector<std::shared_ptr<internal::NeighbourAccept>> ended;
  Membership left;
  {
    std::lock_guard lock(mutex_);
    const auto found = members_.find(member);
    if (found == members_.end()) return;
    left = std::move(found->second);
    members_.erase(found);
    for (auto at = listeners_.begin(); at != listeners_.end();) {
      if (at->second.member != member) {
        ++at;
        continue;
      }
      ended.push_back(std::move(at->second.accept));
      at = listeners_.erase(at);
      --listening_;
    }
  }
  for (const auto& accept : ended) accept->end();
  for (const auto& [number, link] : left.links) {
    link->close(link->member(0) == member ? 0 : 1, "the other process has closed the store");
  }
  for (const auto& [number, link] : left.links) {
    auto& own = link->inbox(link->member(0) == member ? 0 : 1);
    own.wait_until_quiet();
    own.drop();  // of a connect() that has not come so far
  }
}

Result<std::unique_ptr<Neighbours::Listening>> MemoryNeighbours::listen(Member member,
                                                                        std::string topic,
                                                                        Neighbours::Accept accept) {
  SEMPER_TRY_STATUS(internal::check_neighbour_topic(topic));
  std::lock_guard lock(mutex_);
  const auto found = members_.find(member);
  if (found == members_.end()) return fail(ErrorKind::closed, "this store was closed");
  if (found->second.topics >= kNeighbourTopics) {
    return fail(Error(ErrorKind::exhausted, Limit{"kNeighbourTopics", kNeighbourTopics},
                      "this store listens to " + std::to_string(kNeighbourTopics) +
                          " topics already: end one of them first"));
  }
  ++found->second.topics;
  const auto number = ++last_listener_;
  listeners_[number] = {member, std::move(topic),
                        std::make_shared<internal::NeighbourAccept>(std::move(accept))};
  ++listening_;
  return std::make_unique<MemoryListening>(shared_from_this(), number);
}

void MemoryNeighbours::stop_listening(std::uint64_t number) {
  std::shared_ptr<internal::NeighbourAccept> ended;
  {
    std::lock_guard lock(mutex_);
    const auto found = listeners_.find(number);
    if (found == listeners_.end()) return;
    const auto member = members_.find(found->second.member);
    if (member != members_.end()) --member->second.topics;
    ended = std::move(found->second.accept);
    listeners_.erase(found);
    --listening_;
  }
  ended->end();
}

bool MemoryNeighbours::has_listener(Member member, std::string_view topic) const {
  if (listening_.load() == 0) return false;
  std::lock_guard lock(mutex_);
  for (const auto& [number, listener] : listeners_) {
    if (listener.member != member && listener.topic == topic) return true;
  }
  return false;
}

Status MemoryNeighbours::check_room(Member member) const {
  std::lock_guard lock(mutex_);
  const auto found = members_.find(member);
  if (found == members_.end()) return fail(ErrorKind::closed, "this store was closed");
  if (found->second.links.size() < kNeighbourLinks) return {};
  return fail(Error(ErrorKind::exhausted, Limit{"kNeighbourLinks", kNeighbourLinks},
                    "this store has " + std::to_string(kNeighbourLinks) +
                        " links to other processes already: close one of them first"));
}

Result<std::shared_ptr<NeighbourLink>> MemoryNeighbours::connect(
    Member member, std::string_view topic, std::shared_ptr<NeighbourReceiver> receiver) {
  SEMPER_TRY_STATUS(internal::check_neighbour_topic(topic));
  SEMPER_TRY_STATUS(check_room(member));
  std::vector<Listener> candidates;
  std::uint64_t turn = 0;
  {
    std::lock_guard lock(mutex_);
    turn = turn_++;
    for (const auto& [number, listener] : listeners_) {
      const bool is_other = listener.member != member || SEMPER_MUTANT("memory_links_to_itself");
      if (is_other && listener.topic == topic) candidates.push_back(listener);
    }
  }
  if (candidates.empty()) {
    return fail(ErrorKind::not_found, "no other process of this store listens to this topic");
  }
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const auto& chosen = candidates[(turn + i) % candidates.size()];
    auto link = std::make_shared<MemoryLink>(shared_from_this(), member, chosen.member);
    if (!add_link(link)) continue;
    if (!chosen.accept->call(std::make_shared<MemoryLinkEnd>(link, 1), link->inbox(1))) {
      link->drop();
      continue;
    }
    auto made = std::make_shared<MemoryLinkEnd>(link, 0);
    if (!link->inbox(0).attach(std::move(receiver))) {
      return fail(ErrorKind::closed, "this store was closed");
    }
    link->inbox(1).deliver();
    link->inbox(0).deliver();
    return made;
  }
  SEMPER_TRY_STATUS(check_room(member));
  return fail(ErrorKind::retry,
              "every process of this store that listens to this topic has refused the link");
}

bool MemoryNeighbours::add_link(const std::shared_ptr<MemoryLink>& link) {
  std::lock_guard lock(mutex_);
  for (const std::size_t end : {0u, 1u}) {
    const auto found = members_.find(link->member(end));
    if (found == members_.end() || found->second.links.size() >= kNeighbourLinks) return false;
  }
  link->number = ++last_link_;
  for (const std::size_t end : {0u, 1u}) members_[link->member(end)].links[link->number] = link;
  return true;
}

void MemoryNeighbours::remove_link(const MemoryLink& link) {
  std::vector<std::shared_ptr<MemoryLink>> removed;  // freed with no lock held
  std::lock_guard lock(mutex_);
  for (const std::size_t end : {0u, 1u}) {
    const auto found = members_.find(link.member(end));
    if (found == members_.end()) continue;
    auto& links = found->second.links;
    const auto place = links.find(link.number);
    if (place == links.end()) continue;
    removed.push_back(std::move(place->second));
    links.erase(place);
  }
}

}  // namespace semper::memory
