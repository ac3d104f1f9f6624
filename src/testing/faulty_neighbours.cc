#include "testing/faulty_neighbours.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "semper/store/internal/neighbour_inbox.h"

namespace semper::testing::internal {

using semper::internal::NeighbourAccept;
using semper::internal::NeighbourInbox;

// One end of a link, in the process that has the faults.
class FaultyEnd : public std::enable_shared_from_this<FaultyEnd> {
 public:
  FaultyEnd(std::shared_ptr<FaultyNeighbours> all, std::uint64_t number)
      : all_(std::move(all)), number_(number) {}

  NeighbourInbox& inbox() { return inbox_; }
  void set_link(std::shared_ptr<NeighbourLink> link) {
    std::lock_guard lock(mutex_);
    link_ = std::move(link);
  }
  // Who decides about the link when the process goes on.
  void ask_later(std::shared_ptr<NeighbourAccept> accept) {
    std::lock_guard lock(mutex_);
    asked_ = std::move(accept);
  }

  Status send(Bytes message);
  void close();
  // With nobody told in this process, or its receiver.
  void end(FaultyNeighbours::Told told);

  void come(std::optional<Bytes> message, std::optional<Error> end);
  // Hands on what is due.
  void pump();

 private:
  struct Coming {
    MonotonicTime due;
    std::optional<Bytes> message;  // or
    std::optional<Error> end;
  };

  std::shared_ptr<NeighbourLink> link() const {
    std::lock_guard lock(mutex_);
    return link_;
  }
  // False: nothing is due.
  bool hand_on_one();
  void let_go();

  const std::shared_ptr<FaultyNeighbours> all_;
  const std::uint64_t number_;
  NeighbourInbox inbox_;
  mutable std::mutex mutex_;
  std::shared_ptr<NeighbourLink> link_;
  std::shared_ptr<NeighbourAccept> asked_;
  std::deque<Coming> coming_;
  MonotonicTime last_due_{};
  MonotonicTime armed_for_{};
  bool is_silent_ = false;
  std::size_t swallowed_bytes_ = 0;
};

namespace {

class FaultyLink final : public NeighbourLink {
 public:
  explicit FaultyLink(std::shared_ptr<FaultyEnd> end) : end_(std::move(end)) {}
  ~FaultyLink() override { close(); }
  Status send(Bytes message) override { return end_->send(std::move(message)); }
  void close() override { end_->close(); }

 private:
  const std::shared_ptr<FaultyEnd> end_;
};

// What the backend inside tells.
class FaultyReceiver final : public NeighbourReceiver {
 public:
  explicit FaultyReceiver(std::shared_ptr<FaultyEnd> end) : end_(std::move(end)) {}
  void on_message(Bytes message) override { end_->come(std::move(message), std::nullopt); }
  void on_end(const Error& why) override { end_->come(std::nullopt, why); }

 private:
  const std::shared_ptr<FaultyEnd> end_;
};

class FaultyListening final : public Neighbours::Listening {
 public:
  FaultyListening(std::unique_ptr<Neighbours::Listening> inner,
                  std::shared_ptr<NeighbourAccept> accept)
      : inner_(std::move(inner)), accept_(std::move(accept)) {}
  ~FaultyListening() override {
    inner_.reset();
    accept_->end();
  }

 private:
  std::unique_ptr<Neighbours::Listening> inner_;
  const std::shared_ptr<NeighbourAccept> accept_;
};

}  // namespace

Status FaultyEnd::send(Bytes message) {
  SEMPER_TRY_STATUS(semper::internal::check_neighbour_message(message));
  if (inbox_.has_ended()) return fail(ErrorKind::closed, "the link has ended; connect again");
  auto& dice = all_->dice();
  if (dice.strikes(LinkFault::refused)) {
    return fail(ErrorKind::retry, "the other process takes nothing (an injected fault)");
  }
  const bool falls_silent = dice.strikes(LinkFault::silent);
  {
    std::lock_guard lock(mutex_);
    is_silent_ = is_silent_ || falls_silent;
    if (is_silent_) {
      swallowed_bytes_ += message.size();
      if (swallowed_bytes_ <= kNeighbourBufferBytes) return {};
      return fail(ErrorKind::retry, "the other process takes nothing (an injected fault)");
    }
  }
  const auto inner = link();
  if (!inner) return fail(ErrorKind::closed, "the link has ended; connect again");
  if (dice.strikes(LinkFault::cut)) {
    if (dice.coin()) static_cast<void>(inner->send(std::move(message)));
    inner->close();
    return {};
  }
  return inner->send(std::move(message));
}

void FaultyEnd::come(std::optional<Bytes> message, std::optional<Error> end) {
  auto due = all_->clock().now();
  if (message && all_->dice().strikes(LinkFault::late)) {
    due = all_->clock().after(all_->dice().lateness());
  }
  {
    std::lock_guard lock(mutex_);
    if (is_silent_ || inbox_.has_ended()) return;
    last_due_ = std::max(last_due_, due);
    coming_.push_back({last_due_, std::move(message), std::move(end)});
  }
  pump();
}

void FaultyEnd::pump() {
  if (all_->is_paused()) return;
  std::shared_ptr<NeighbourAccept> asked;
  {
    std::lock_guard lock(mutex_);
    asked = std::move(asked_);
    asked_.reset();
  }
  if (asked && !asked->call(std::make_shared<FaultyLink>(shared_from_this()), inbox_)) {
    return end(FaultyNeighbours::Told::nothing);
  }
  while (hand_on_one()) inbox_.deliver();
  inbox_.deliver();
  if (inbox_.has_ended()) let_go();
}

bool FaultyEnd::hand_on_one() {
  std::lock_guard lock(mutex_);
  if (coming_.empty()) return false;
  const auto due = coming_.front().due;
  if (due > all_->clock().now()) {
    if (armed_for_ == due) return false;
    armed_for_ = due;
    all_->clock().call_at(due, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->pump();
    });
    return false;
  }
  auto next = std::move(coming_.front());
  coming_.pop_front();
  if (next.end) {
    inbox_.end(*next.end);
  } else if (const auto put = inbox_.put(std::move(*next.message)); !put) {
    inbox_.end(put.error());
  }
  return true;
}

void FaultyEnd::close() {
  if (inbox_.has_ended()) return;
  std::shared_ptr<NeighbourLink> inner;
  {
    std::lock_guard lock(mutex_);
    coming_.clear();
    // What fell silent stays so: the other process learns nothing of this end.
    if (!is_silent_) inner = std::move(link_);
  }
  inbox_.end_now(Error(ErrorKind::closed, "this end of the link was closed"));
  if (inner) {
    inner->close();
    all_->remove(number_);
  }
  inbox_.deliver();
}

void FaultyEnd::let_go() {
  std::shared_ptr<NeighbourLink> inner;
  {
    std::lock_guard lock(mutex_);
    inner = std::move(link_);
  }
  all_->remove(number_);
}

void FaultyEnd::end(FaultyNeighbours::Told told) {
  std::shared_ptr<NeighbourLink> inner;
  std::shared_ptr<NeighbourAccept> asked;
  {
    std::lock_guard lock(mutex_);
    coming_.clear();
    asked = std::move(asked_);
    inner = std::move(link_);
  }
  if (told == FaultyNeighbours::Told::nothing) inbox_.drop();
  inbox_.end_now(Error(ErrorKind::closed, "this store was closed"));
  if (inner) inner->close();
  all_->remove(number_);
  inbox_.deliver();
  inbox_.wait_until_quiet();
}

Status FaultyNeighbours::check_open() const {
  std::lock_guard lock(mutex_);
  if (!has_ended_) return {};
  return fail(ErrorKind::closed, "this store was closed");
}

std::shared_ptr<FaultyEnd> FaultyNeighbours::add() {
  std::lock_guard lock(mutex_);
  if (has_ended_) return nullptr;
  const auto number = ++last_;
  return ends_[number] = std::make_shared<FaultyEnd>(shared_from_this(), number);
}

void FaultyNeighbours::remove(std::uint64_t number) {
  std::shared_ptr<FaultyEnd> removed;  // freed with no lock held
  std::lock_guard lock(mutex_);
  const auto found = ends_.find(number);
  if (found == ends_.end()) return;
  removed = std::move(found->second);
  ends_.erase(found);
}

bool FaultyNeighbours::has_listener(std::string_view topic) const {
  return inner_ != nullptr && check_open().has_value() && inner_->has_listener(topic);
}

Result<std::unique_ptr<Neighbours::Listening>> FaultyNeighbours::listen(std::string topic,
                                                                        Neighbours::Accept accept) {
  if (inner_ == nullptr) {
    return fail(ErrorKind::unsupported, "processes of this store cannot talk to each other");
  }
  SEMPER_TRY_STATUS(check_open());
  const auto wanted = std::make_shared<NeighbourAccept>(std::move(accept));
  auto accept_inside =
      [weak = weak_from_this(),
       wanted](std::shared_ptr<NeighbourLink> link) -> std::shared_ptr<NeighbourReceiver> {
    const auto self = weak.lock();
    const auto end = self ? self->add() : nullptr;
    if (!end) return nullptr;
    end->set_link(std::move(link));
    if (self->is_paused()) {
      end->ask_later(wanted);
    } else if (!wanted->call(std::make_shared<FaultyLink>(end), end->inbox())) {
      end->end(Told::nothing);
      return nullptr;
    }
    return std::make_shared<FaultyReceiver>(end);
  };
  SEMPER_TRY(auto inner, inner_->listen(std::move(topic), std::move(accept_inside)));
  return std::make_unique<FaultyListening>(std::move(inner), wanted);
}

Result<std::shared_ptr<NeighbourLink>> FaultyNeighbours::connect(
    std::string topic, std::shared_ptr<NeighbourReceiver> receiver) {
  if (inner_ == nullptr) {
    return fail(ErrorKind::not_found, "processes of this store cannot talk to each other");
  }
  if (dice_->strikes(LinkFault::refused)) {
    return fail(ErrorKind::retry, "the other process takes no link (an injected fault)");
  }
  const auto end = add();
  if (!end) return fail(ErrorKind::closed, "this store was closed");
  auto link = inner_->connect(std::move(topic), std::make_shared<FaultyReceiver>(end));
  if (!link) {
    end->end(Told::nothing);
    return tl::unexpected(link.error());
  }
  end->set_link(std::move(*link));
  if (!end->inbox().attach(std::move(receiver))) {
    return fail(ErrorKind::closed, "this store was closed");
  }
  auto made = std::make_shared<FaultyLink>(end);
  end->pump();
  return made;
}

bool FaultyNeighbours::is_paused() const {
  std::lock_guard lock(mutex_);
  return is_paused_;
}

void FaultyNeighbours::set_paused(bool is_paused) {
  std::vector<std::shared_ptr<FaultyEnd>> ends;
  {
    std::lock_guard lock(mutex_);
    is_paused_ = is_paused;
    if (is_paused) return;
    for (const auto& [number, end] : ends_) ends.push_back(end);
  }
  for (const auto& end : ends) end->pump();
}

void FaultyNeighbours::end(Told told) {
  std::map<std::uint64_t, std::shared_ptr<FaultyEnd>> ends;
  {
    std::lock_guard lock(mutex_);
    has_ended_ = true;
    ends = ends_;
  }
  for (const auto& [number, end] : ends) end->end(told);
}

}  // namespace semper::testing::internal
