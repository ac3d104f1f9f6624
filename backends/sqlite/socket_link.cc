#include "socket_link.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "semper/base/internal/mutant.h"

namespace semper::sqlite {
namespace {

constexpr std::size_t kHeadBytes = 4;
// Memory that a length alone may take; the rest follows the bytes.
constexpr std::size_t kTakenAhead = 64u << 10;
// Before the other links have their turn.
constexpr int kReadsAtOnce = 16;

tl::unexpected<Error> has_ended() {
  return fail(ErrorKind::closed, "the link has ended; connect again");
}

}  // namespace

SocketLink::~SocketLink() {
  if (fork_.is_foreign()) socket_.forget();
}

Status SocketLink::say(const Hello& hello) {
  std::lock_guard lock(mutex_);
  const Bytes bytes = encode(hello);
  // A new socket has room for so little, or is broken.
  if (write(bytes, {}) == static_cast<std::ptrdiff_t>(bytes.size())) return {};
  return has_ended();
}

Status SocketLink::send(Bytes message) {
  SEMPER_TRY_STATUS(semper::internal::check_neighbour_message(message));
  std::lock_guard lock(mutex_);
  if (!socket_.is_open() || is_broken_) return has_ended();
  const auto size = static_cast<std::uint32_t>(message.size());
  Bytes head(kHeadBytes, '\0');
  std::memcpy(head.data(), &size, kHeadBytes);
  std::size_t written = 0;
  if (waiting_.empty()) {
    const auto at_once = write(head, message);
    if (at_once < 0) return has_ended();
    written = static_cast<std::size_t>(at_once);
    if (written == kHeadBytes + message.size()) return {};
  } else if (bytes_ + message.size() + semper::internal::kNeighbourMessageCost >
             kNeighbourBufferBytes) {
    return fail(Error(ErrorKind::retry, Limit{"kNeighbourBufferBytes", kNeighbourBufferBytes},
                      "the other process takes nothing; " + std::to_string(bytes_) +
                          " bytes wait for it: send later, or do without"));
  }
  const bool is_first = waiting_.empty();
  if (is_first) written_ = written;
  bytes_ += message.size() + semper::internal::kNeighbourMessageCost;
  waiting_.push_back(std::move(head));
  waiting_.back() += message;
  if (is_first) watch_for_room(true);
  return {};
}

std::ptrdiff_t SocketLink::write(BytesView one, BytesView two) {
  std::array<struct iovec, 2> parts{};
  parts[0] = {const_cast<char*>(one.data()), one.size()};
  parts[1] = {const_cast<char*>(two.data()), two.size()};
  struct msghdr what {};
  what.msg_iov = parts.data();
  what.msg_iovlen = parts.size();
  while (true) {
    const auto written = ::sendmsg(socket_.number(), &what, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (written >= 0) return written;
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM) return 0;
    is_broken_ = true;
    return -1;
  }
}

void SocketLink::write_on() {
  std::lock_guard lock(mutex_);
  while (!waiting_.empty() && socket_.is_open()) {
    const BytesView first = waiting_.front();
    const auto written = write(first.substr(written_), {});
    if (written < 0) {
      waiting_.clear();
      bytes_ = 0;
      break;
    }
    written_ += static_cast<std::size_t>(written);
    if (written_ < first.size()) return;
    bytes_ -= first.size() - kHeadBytes + semper::internal::kNeighbourMessageCost;
    written_ = 0;
    waiting_.pop_front();
  }
  watch_for_room(false);
}

void SocketLink::close() {
  std::lock_guard lock(mutex_);
  if (!socket_.is_open()) return;
  // A copy in a child would keep its events alive.
  if (epoll_ >= 0) ::epoll_ctl(epoll_, EPOLL_CTL_DEL, socket_.number(), nullptr);
  ::shutdown(socket_.number(), SHUT_RDWR);
  socket_.close();
  waiting_.clear();
  bytes_ = 0;
}

Status SocketLink::watch(int epoll) {
  std::lock_guard lock(mutex_);
  if (!socket_.is_open()) return {};
  struct epoll_event event {};
  event.events = EPOLLIN | (waiting_.empty() ? 0u : static_cast<unsigned>(EPOLLOUT));
  event.data.u64 = number_;
  if (::epoll_ctl(epoll, EPOLL_CTL_ADD, socket_.number(), &event) != 0) {
    return fail(error_from_errno(errno, "cannot wait for another process of the store"));
  }
  epoll_ = epoll;
  return {};
}

void SocketLink::watch_for_room(bool wanted) {
  if (epoll_ < 0 || !socket_.is_open()) return;
  struct epoll_event event {};
  event.events = EPOLLIN | (wanted ? static_cast<unsigned>(EPOLLOUT) : 0u);
  event.data.u64 = number_;
  ::epoll_ctl(epoll_, EPOLL_CTL_MOD, socket_.number(), &event);
}

Status SocketLink::read(std::vector<char>& buffer) {
  for (int i = 0; i < kReadsAtOnce; ++i) {
    ssize_t got = 0;
    {
      std::lock_guard lock(mutex_);
      if (!socket_.is_open()) return {};
      got = ::recv(socket_.number(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    }
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return {};
    if (got == 0 || (got < 0 && errno == ECONNRESET)) {
      return fail(ErrorKind::closed, "the other process has closed the link, or has ended");
    }
    if (got < 0) return fail(error_from_errno(errno, "cannot read from another process"));
    SEMPER_TRY_STATUS(take(BytesView(buffer.data(), static_cast<std::size_t>(got))));
  }
  return {};
}

Status SocketLink::take(BytesView bytes) {
  while (true) {
    const auto head = std::min(bytes.size(), kHeadBytes - head_bytes_);
    if (head > 0) {
      std::memcpy(head_.data() + head_bytes_, bytes.data(), head);
      head_bytes_ += head;
      bytes.remove_prefix(head);
      if (head_bytes_ < kHeadBytes) return {};
      std::uint32_t size = 0;
      std::memcpy(&size, head_.data(), kHeadBytes);
      if (size > kNeighbourMessageBytes && !SEMPER_MUTANT("sqlite_link_any_length")) {
        return fail(ErrorKind::io, "another process announces a message of " +
                                       std::to_string(size) + " bytes, more than there may be");
      }
      wanted_ = size;
      message_.reserve(std::min(wanted_, kTakenAhead));
    }
    if (head_bytes_ < kHeadBytes) return {};
    const auto part = std::min(bytes.size(), wanted_ - message_.size());
    message_.append(bytes.substr(0, part));
    bytes.remove_prefix(part);
    if (message_.size() < wanted_) return {};
    head_bytes_ = 0;
    SEMPER_TRY_STATUS(inbox_.put(std::exchange(message_, {})));
    inbox_.deliver();
    if (bytes.empty()) return {};
  }
}

}  // namespace semper::sqlite
