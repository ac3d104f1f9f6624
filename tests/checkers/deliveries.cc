#include "deliveries.h"

#include <algorithm>
#include <map>

namespace semper::testing {
namespace {

class DeliveryJudge {
 public:
  DeliveryJudge(const std::string& receiver, const std::vector<Sent>& sent,
                const std::vector<Delivered>& delivered)
      : receiver_(receiver), sent_(sent), delivered_(delivered) {
    for (std::size_t i = 0; i < delivered.size(); ++i) places_[delivered[i]].push_back(i);
  }

  std::vector<std::string> run(DeliveryOrder order) {
    check_counts();
    check_batches();
    if (order == DeliveryOrder::by_publisher) check_order();
    return std::move(wrong_);
  }

 private:
  void blame(const Delivered& message, const std::string& what) {
    wrong_.push_back(receiver_ + ": message " + std::to_string(message.number) + " of publisher " +
                     std::to_string(message.publisher) + " " + what);
  }

  std::size_t count(const Delivered& message) const {
    const auto found = places_.find(message);
    return found == places_.end() ? 0 : found->second.size();
  }

  void check_counts() {
    std::map<Delivered, Fate> known;
    for (const auto& each : sent_) {
      const Delivered message{each.publisher, each.number};
      known[message] = each.fate;
      const auto times = count(message);
      if (times > 1) blame(message, "took effect " + std::to_string(times) + " times");
      if (times == 0 && each.fate == Fate::done) blame(message, "was acknowledged and is lost");
      if (times > 0 && each.fate == Fate::refused) blame(message, "was refused and took effect");
    }
    for (const auto& [message, places] : places_) {
      if (!known.contains(message)) blame(message, "took effect and was never sent");
    }
  }

  void check_order() {
    std::map<std::uint64_t, std::uint64_t> last;  // by publisher
    std::map<Delivered, Fate> fates;
    for (const auto& each : sent_) fates[{each.publisher, each.number}] = each.fate;
    for (const auto& message : delivered_) {
      const auto found = fates.find(message);
      if (found == fates.end() || found->second != Fate::done) continue;
      auto& before = last[message.publisher];
      if (message.number < before) {
        blame(message, "took effect after its message " + std::to_string(before));
      }
      before = std::max(before, message.number);
    }
  }

  void check_batches() {
    std::map<std::pair<std::uint64_t, std::uint64_t>, std::vector<Delivered>> batches;
    for (const auto& each : sent_) {
      if (each.batch == 0) continue;
      batches[{each.publisher, each.batch}].push_back({each.publisher, each.number});
    }
    for (const auto& [name, messages] : batches) check_batch(messages);
  }

  void check_batch(const std::vector<Delivered>& messages) {
    const bool is_there = count(messages.front()) > 0;
    for (std::size_t i = 1; i < messages.size(); ++i) {
      const auto times = count(messages[i]);
      if ((times > 0) != is_there) {
        blame(messages[i], "took effect without the others of its batch, or they without it");
        return;
      }
      if (!is_there || times != 1 || count(messages[i - 1]) != 1) continue;
      if (places_[messages[i]].front() != places_[messages[i - 1]].front() + 1) {
        blame(messages[i], "did not take effect directly after the one before it in its batch");
      }
    }
  }

  const std::string receiver_;
  const std::vector<Sent>& sent_;
  const std::vector<Delivered>& delivered_;
  std::map<Delivered, std::vector<std::size_t>> places_;
  std::vector<std::string> wrong_;
};

}  // namespace

std::vector<std::string> judge_deliveries(const std::string& receiver,
                                          const std::vector<Sent>& sent,
                                          const std::vector<Delivered>& delivered,
                                          DeliveryOrder order) {
  return DeliveryJudge(receiver, sent, delivered).run(order);
}

}  // namespace semper::testing
