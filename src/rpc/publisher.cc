#include "semper/rpc/publisher.h"

#include <exception>

#include "semper/base/internal/mutant.h"

namespace semper::rpc::internal {
namespace {

constexpr std::size_t kTokenBytes = 16;

std::size_t size_of(const std::vector<Bytes>& batch) {
  std::size_t total = 0;
  for (const auto& update : batch) total += update.size();
  return total;
}

}  // namespace

PublisherCore::PublisherCore(const PublisherOptions& options)
    : options_(options),
      epoch_(options.epoch != 0 ? options.epoch : options.env.random->next()),
      published_(options.first_number) {}

void PublisherCore::publish(std::vector<Bytes> batch, const std::function<void()>& apply) {
  std::map<std::uint64_t, OneShot<std::monostate>> waiters;
  std::exception_ptr thrown;
  {
    std::lock_guard lock(mutex_);
    if (closed_) return;
    try {
      if (apply) apply();
    } catch (...) {
      thrown = std::current_exception();
    }
    ++published_;
    if (thrown) {
      // Perhaps a part of it is in the state: nobody goes on from before, everybody gets the state.
      history_.clear();
      history_bytes_ = 0;
    } else {
      history_bytes_ += size_of(batch);
      history_.push_back(std::make_shared<const std::vector<Bytes>>(std::move(batch)));
    }
    while (history_.size() > 1 && (history_.size() > options_.history_batches ||
                                   history_bytes_ > options_.history_bytes)) {
      history_bytes_ -= size_of(*history_.front());
      history_.pop_front();
    }
    waiters = take_waiters();
  }
  for (auto& [number, waiter] : waiters) waiter.set({});
  if (thrown) std::rethrow_exception(thrown);
}

void PublisherCore::close() {
  std::map<std::uint64_t, OneShot<std::monostate>> waiters;
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
    waiters = take_waiters();
  }
  for (auto& [number, waiter] : waiters) waiter.set({});
}

std::map<std::uint64_t, OneShot<std::monostate>> PublisherCore::take_waiters() {
  return std::exchange(waiters_, {});
}

std::uint64_t PublisherCore::published() const {
  std::lock_guard lock(mutex_);
  return published_;
}

Bytes PublisherCore::token(std::uint64_t number) const {
  Bytes bytes;
  append_big_endian_u64(bytes, epoch_);
  append_big_endian_u64(bytes, number);
  return bytes;
}

std::optional<std::uint64_t> PublisherCore::position_of(const std::optional<Bytes>& given) const {
  if (!given || given->size() != kTokenBytes) return std::nullopt;
  const BytesView view(*given);
  const std::uint64_t number = load_big_endian_u64(view.substr(sizeof(std::uint64_t)));
  const std::uint64_t oldest = published_ - history_.size();
  if (number < oldest && SEMPER_MUTANT("rpc_gap_passed_for_a_resumption")) return oldest;
  if (load_big_endian_u64(view) != epoch_ || number < oldest || number > published_) {
    return std::nullopt;
  }
  return number;
}

StreamFrame PublisherCore::begin(const StreamRequest& request,
                                 const std::function<Bytes()>& snapshot,
                                 std::uint64_t& position) const {
  StreamFrame frame;
  std::lock_guard lock(mutex_);
  if (const auto resumed = position_of(request.resume_after)) {
    position = *resumed;
    if (position > 0 && SEMPER_MUTANT("rpc_update_repeated_after_a_resumption")) --position;
    if (position < published_ && SEMPER_MUTANT("rpc_update_skipped_after_a_resumption")) ++position;
    frame.begin = StreamFrame::Begin::resumed;
  } else {
    position = published_;
    frame.begin = StreamFrame::Begin::fresh;
    if (snapshot) frame.state = snapshot();
  }
  frame.resume_token = token(position);
  return frame;
}

Async<void> PublisherCore::wait_for_more(PublisherCore& core, std::uint64_t position) {
  // However the wait ends, its coroutine destroyed included.
  struct Leave {
    Leave(PublisherCore& of, std::uint64_t which) : core(of), number(which) {}
    Leave(const Leave&) = delete;
    Leave& operator=(const Leave&) = delete;
    ~Leave() {
      std::lock_guard lock(core.mutex_);
      core.waiters_.erase(number);
    }
    PublisherCore& core;
    std::uint64_t number;
  };
  OneShot<std::monostate> more;
  std::uint64_t number = 0;
  {
    std::lock_guard lock(core.mutex_);
    if (core.closed_ || position < core.published_) co_return Status();
    number = ++core.last_waiter_;
    core.waiters_.emplace(number, more);
  }
  const Leave leave(core, number);
  auto woken = co_await more.wait();
  if (!woken) co_return fail(woken.error());
  co_return Status();
}

Async<void> PublisherCore::serve(std::shared_ptr<PublisherCore> core,
                                 std::function<Bytes()> snapshot, Bytes request,
                                 StreamWriter writer) {
  SEMPER_CO_TRY(const auto asked, decode_request(request));
  std::uint64_t position = 0;
  const StreamFrame first = core->begin(asked, snapshot, position);
  SEMPER_CO_TRY_STATUS(co_await writer.write(first));
  while (true) {
    Batch batch;
    {
      std::lock_guard lock(core->mutex_);
      const std::uint64_t oldest = core->published_ - core->history_.size();
      if (position < oldest) {
        co_return fail(ErrorKind::exhausted,
                       "too slow: batches that were not sent yet are no longer in the history");
      }
      if (position < core->published_) {
        batch = core->history_[position - oldest];
      } else if (core->closed_) {
        co_return Status();
      }
    }
    if (!batch) {
      SEMPER_CO_TRY_STATUS(co_await wait_for_more(*core, position));
      continue;
    }
    StreamFrame frame;
    frame.updates = *batch;
    frame.resume_token = core->token(++position);
    SEMPER_CO_TRY_STATUS(co_await writer.write(frame));
  }
}

}  // namespace semper::rpc::internal
