// The fuzz target on good rings, on mutations of them, and on noise.
#include "fuzz/ring_attach_fuzz.cc"

#include <gtest/gtest.h>

#include "ring/ring_test_support.h"
#include "semper/testing/seed.h"

namespace semper::ring {
namespace {

using testing::World;

// A ring in the middle of its life.
Bytes used_ring(Format format, std::uint64_t bytes) {
  MemoryDisk disk({.size = bytes, .sector_size = 512});
  World world({[&] { return disk.open(); }}, format);
  const auto device = world.open();
  EXPECT_OK(world.create(*device));
  auto producer = world.producer(*device);
  auto consumer = world.consumer(*device);
  EXPECT_TRUE(producer && consumer);
  for (int i = 0; i < 60; ++i) {
    const Bytes item(static_cast<std::size_t>(i * 37 % 1500), static_cast<char>('a' + i % 26));
    while (!world.run(producer->publish(item))) {
      const auto first = world.run(consumer->pop());
      EXPECT_OK(first);
      EXPECT_OK(world.run(consumer->advance(first->after)));
    }
  }
  return disk.contents(0, static_cast<std::size_t>(bytes));
}

void fuzz(const Bytes& image) {
  fuzz_ring_image(image);
}

class RingBadInput : public ::testing::TestWithParam<Format> {
 protected:
  Bytes image = GetParam() == Format::semper_1 ? used_ring(Format::semper_1, 20 * 4096)
                                               : used_ring(Format::mirage_1_0, 24 * 512);
};
INSTANTIATE_TEST_SUITE_P(, RingBadInput, ::testing::Values(Format::semper_1, Format::mirage_1_0),
                         [](const auto& instance) {
                           return instance.param == Format::semper_1 ? "semper" : "mirage";
                         });

TEST_P(RingBadInput, no_flipped_byte_of_a_header_crashes_or_hangs) {
  const std::size_t header_bytes = GetParam() == Format::semper_1 ? 8 * 4096 : 3 * 512;
  for (std::size_t at = 0; at < header_bytes; at += at % 4096 < 512 ? 1 : 97) {
    Bytes flipped = image;
    flipped[at] = static_cast<char>(~flipped[at]);
    fuzz(flipped);
  }
}

TEST_P(RingBadInput, no_truncated_image_crashes_or_hangs) {
  for (std::size_t size = 512; size <= image.size(); size += 512) fuzz(image.substr(0, size));
}

TEST_P(RingBadInput, no_mutation_crashes_or_hangs) {
  SeededRandom random(semper::testing::test_seed());
  for (int round = 0; round < 1000; ++round) {
    Bytes mutated = image;
    for (std::uint64_t changes = 1 + random.below(4); changes > 0; --changes) {
      const std::size_t at = random.below(mutated.size());
      const std::size_t size = std::min<std::size_t>(1 + random.below(64), mutated.size() - at);
      if (random.chance(0.3)) {
        mutated.replace(at, size, mutated, random.below(mutated.size() - size), size);
      } else if (random.chance(0.5)) {
        mutated.replace(at, size, random.bytes(size));
      } else {
        mutated[at] = static_cast<char>(mutated[at] ^ (1 << random.below(8)));
      }
    }
    fuzz(mutated);
  }
}

TEST_P(RingBadInput, no_noise_behind_a_good_mark_crashes_or_hangs) {
  SeededRandom random(semper::testing::test_seed());
  for (int round = 0; round < 200; ++round) {
    const Bytes noise = random.bytes(image.size());
    fuzz(image.substr(0, 512) + noise.substr(512));
    fuzz(noise);
  }
}

// In semper-1 damage is never taken for data: every item that comes out went in.
class DamagedRing {
 public:
  static constexpr int kBatches = 40;
  static constexpr int kItemsOfABatch = 3;
  static constexpr std::size_t kItemBytes = 304;
  static constexpr std::uint64_t kData = 8 * 4096;

  explicit DamagedRing(Random& random) {
    const auto device = world.open();
    EXPECT_OK(world.create(*device));
    auto producer = world.producer(*device);
    EXPECT_OK(producer);
    for (int i = 0; i < kBatches; ++i) {
      std::vector<Bytes> batch;
      for (int k = 0; k < kItemsOfABatch; ++k) {
        const Bytes number = std::to_string(i * kItemsOfABatch + k);
        batch.push_back(number + random.bytes(kItemBytes - number.size()));
      }
      EXPECT_OK(world.run(producer->publish(batch)));
      items.insert(items.end(), batch.begin(), batch.end());
    }
    EXPECT_OK(world.run(producer->detach()));
    good = disk.contents(0, 64 * 4096);
  }

  // All items but one come out, or all.
  void flip(std::uint64_t at, std::uint64_t bit) {
    SCOPED_TRACE("bit " + std::to_string(bit) + " of byte " + std::to_string(at));
    ASSERT_OK(disk.overwrite(0, good));
    ASSERT_OK(disk.overwrite(at, Bytes(1, static_cast<char>(good[at] ^ (1 << bit)))));
    const auto device = world.open();
    AttachOptions options = world.options();
    options.on_damage = OnDamage::skip;
    auto consumer = world.run(Consumer::attach(*device, options));
    ASSERT_OK(consumer);
    const std::vector<Bytes> there = testing::all_items(world, *consumer);
    const std::size_t lost = consumer->damage().size();
    ASSERT_LE(lost, 1u);
    ASSERT_EQ(there.size() + lost, items.size());
    std::size_t next = 0;
    for (const Bytes& item : there) {
      while (next < items.size() && items[next] != item) ++next;
      ASSERT_LT(next, items.size()) << "an item that nobody published, or out of order";
      ++next;
    }
  }

  MemoryDisk disk{{.size = 64 * 4096, .sector_size = 512}};
  World world{{[this] { return disk.open(); }}};
  std::vector<Bytes> items;
  Bytes good;
};

TEST(RingDamage, no_flipped_bit_of_the_data_changes_an_item_and_skip_finds_the_others) {
  SeededRandom random(semper::testing::test_seed());
  DamagedRing ring(random);
  for (int round = 0; round < 300 && !HasFailure(); ++round) {
    ring.flip(DamagedRing::kData + random.below(DamagedRing::kBatches * 4096), random.below(8));
  }
}

TEST(RingDamage, no_flipped_bit_of_a_header_takes_a_neighbour_with_it) {
  constexpr std::uint64_t kHeaderBytes = 32;
  SeededRandom random(semper::testing::test_seed());
  DamagedRing ring(random);
  for (std::uint64_t record = 0; record < DamagedRing::kItemsOfABatch; ++record) {
    const std::uint64_t begin =
        DamagedRing::kData + 5 * 4096 + record * (kHeaderBytes + DamagedRing::kItemBytes);
    for (std::uint64_t bit = 0; bit < 8 * kHeaderBytes && !HasFailure(); ++bit) {
      ring.flip(begin + bit / 8, bit % 8);
    }
  }
}

TEST(RingDamage, a_damaged_record_stops_the_consumer_until_it_goes_on_from_resync) {
  MemoryDisk disk({.size = 64 * 4096, .sector_size = 4096});
  World world({[&] { return disk.open(); }});
  const auto device = world.open();
  ASSERT_OK(world.create(*device));
  auto producer = world.producer(*device);
  ASSERT_OK(producer);
  ASSERT_OK(world.run(producer->publish("one")));
  ASSERT_OK(world.run(producer->publish("two")));
  ASSERT_OK(disk.overwrite(8 * 4096 + 32, "x"));
  auto consumer = world.consumer(*device);
  ASSERT_OK(consumer);
  const auto item = world.run(consumer->pop());
  ASSERT_FALSE(item);
  EXPECT_EQ(item.error().kind(), ErrorKind::corrupt);
  EXPECT_NE(item.error().message().find("position 0 (byte 32768 of memory)"), std::string::npos)
      << item.error().message();
  const auto next = world.run(consumer->resync(consumer->consumed()));
  ASSERT_OK(next);
  const auto second = world.run(consumer->pop(*next));
  ASSERT_OK(second);
  EXPECT_EQ(second->bytes, "two");
  ASSERT_OK(world.run(consumer->advance(second->after)));
  EXPECT_EQ(testing::kind_of(world.run(consumer->pop())), ErrorKind::retry);
}

TEST(RingDamage, either_copy_of_superblock_and_pointers_can_be_lost) {
  for (const std::uint64_t block : {0u, 1u, 2u, 3u, 4u, 15u}) {
    SCOPED_TRACE(block);
    MemoryDisk disk({.size = 16 * 4096, .sector_size = 4096});
    World world({[&] { return disk.open(); }});
    {
      const auto device = world.open();
      ASSERT_OK(world.create(*device));
      auto producer = world.producer(*device);
      ASSERT_OK(producer);
      ASSERT_OK(world.run(producer->publish("one")));
      ASSERT_OK(world.run(producer->publish("two")));
    }
    ASSERT_OK(disk.overwrite(block * 4096, Bytes(4096, '\0')));
    const auto device = world.open();
    auto producer = world.producer(*device);
    ASSERT_OK(producer);
    auto consumer = world.consumer(*device);
    ASSERT_OK(consumer);
    EXPECT_EQ(testing::all_items(world, *consumer), (std::vector<Bytes>{"one", "two"}));
  }
}

TEST(RingDamage, records_of_another_ring_on_the_same_disk_are_not_taken_for_data) {
  MemoryDisk disk({.size = 16 * 4096, .sector_size = 4096});
  World world({[&] { return disk.open(); }});
  for (int ring = 0; ring < 2; ++ring) {
    const auto device = world.open();
    CreateOptions options;
    options.overwrite = Overwrite::anything;  // data without a mark is not blank
    options.env = world.env();
    ASSERT_OK(world.run(create(*device, options)));
    auto producer = world.producer(*device);
    ASSERT_OK(producer);
    auto consumer = world.consumer(*device);
    ASSERT_OK(consumer);
    EXPECT_TRUE(testing::all_items(world, *consumer).empty());
    ASSERT_OK(world.run(producer->publish("old")));
    // The marks go, the data stays.
    ASSERT_OK(disk.overwrite(0, Bytes(8 * 4096, '\0')));
    ASSERT_OK(disk.overwrite(15 * 4096, Bytes(4096, '\0')));
  }
}

TEST(RingSizes, a_sparse_terabyte_costs_no_more_memory_than_was_allowed) {
  for (const Format format : {Format::semper_1, Format::mirage_1_0}) {
    MemoryDisk disk({.size = std::uint64_t{1} << 40, .sector_size = 4096});
    World world({[&] { return disk.open(); }}, format);
    const auto device = world.open();
    ASSERT_OK(world.create(*device));
    auto producer = world.producer(*device);
    ASSERT_OK(producer);
    auto consumer = world.consumer(*device);
    ASSERT_OK(consumer);
    for (int i = 0; i < 300; ++i) {
      ASSERT_OK(world.run(producer->publish(Bytes(100'000, 'x'))));
      const auto item = world.run(consumer->pop());
      ASSERT_OK(item);
      ASSERT_OK(world.run(consumer->advance(item->after)));
    }
    for (const auto& info :
         {world.run(producer->debug_info()), world.run(consumer->debug_info())}) {
      ASSERT_OK(info);
      for (const auto& [key, value] : *info) {
        if (key != "buffer_bytes") continue;
        EXPECT_LE(std::stoull(value), std::uint64_t{1} << 20);
      }
    }
  }
}

}  // namespace
}  // namespace semper::ring
