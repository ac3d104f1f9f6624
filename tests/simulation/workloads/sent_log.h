// SentLog: what a workload's clients have sent to each entity, with what they were told of it.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "checkers/deliveries.h"
#include "workload.h"

namespace semper::simulation {

class SentLog {
 public:
  // A number of the publisher's own, larger than all before. Stays where it is.
  testing::Sent& begin(std::uint64_t publisher, const std::string& id, std::uint64_t batch = 0) {
    testing::Sent& sent = by_entity_[id].emplace_back();
    sent.publisher = publisher;
    sent.number = ++numbers_[publisher];
    sent.batch = batch;
    return sent;
  }

  std::vector<std::string> entities() const {
    std::vector<std::string> ids;
    for (const auto& [id, sent] : by_entity_) ids.push_back(id);
    return ids;
  }

  std::vector<testing::Sent> sent_to(const std::string& id) const {
    const auto found = by_entity_.find(id);
    if (found == by_entity_.end()) return {};
    return {found->second.begin(), found->second.end()};
  }

  void judge(Observer& observer, const std::string& what, const std::string& id,
             const std::vector<testing::Delivered>& delivered,
             testing::DeliveryOrder order = testing::DeliveryOrder::by_publisher) const {
    for (const auto& wrong :
         testing::judge_deliveries(what + " " + id, sent_to(id), delivered, order)) {
      observer.finding(wrong);
    }
  }

 private:
  std::map<std::string, std::deque<testing::Sent>> by_entity_;
  std::map<std::uint64_t, std::uint64_t> numbers_;
};

// A message as a state keeps it.
struct Line {
  std::uint64_t publisher = 0;
  std::uint64_t number = 0;
};
inline std::vector<testing::Delivered> delivered(const std::vector<Line>& lines) {
  std::vector<testing::Delivered> made;
  for (const auto& line : lines) made.push_back({line.publisher, line.number});
  return made;
}
inline std::string in_words(const std::string& id, const testing::Sent& sent) {
  return "message " + std::to_string(sent.number) + " to " + id;
}

}  // namespace semper::simulation
