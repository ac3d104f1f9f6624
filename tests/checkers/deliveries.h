// Did each message take effect as often as its sender was told, and in the order that was promised?
//
// What must hold for one receiver:
//   - a message that was acknowledged took effect once, one that was refused did not, and one that
//     was left without an answer did once or not at all;
//   - nothing took effect that nobody sent;
//   - of one publisher, who waits for each answer before the next message, the acknowledged ones
//     took effect in the order of their numbers;
//   - a batch took effect as a whole or not at all, its messages in their order, with none between
//     them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fate.h"

namespace semper::testing {

struct Sent {
  std::uint64_t publisher = 0;
  std::uint64_t number = 0;  // the publisher's own; grows with each message
  Fate fate = Fate::open;
  std::uint64_t batch = 0;  // 0: sent alone; else the number of its batch, of this publisher
};

struct Delivered {
  std::uint64_t publisher = 0;
  std::uint64_t number = 0;
  friend bool operator==(const Delivered&, const Delivered&) = default;
  friend auto operator<=>(const Delivered&, const Delivered&) = default;
};

enum class DeliveryOrder : std::uint8_t { by_publisher, none };

// Sentences about `receiver`; empty: every promise was kept.
std::vector<std::string> judge_deliveries(const std::string& receiver,
                                          const std::vector<Sent>& sent,
                                          const std::vector<Delivered>& delivered,
                                          DeliveryOrder order = DeliveryOrder::by_publisher);

}  // namespace semper::testing
