// Every image made by the OCaml library opens and holds what its description says; and what is
// written here is what that library would have written.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "ring/mirage_images_test_support.h"
#include "ring/ring_test_support.h"

namespace semper::ring {
namespace {

using nlohmann::json;
using testing::kind_of;
using testing::MirageImage;
using testing::World;

Bytes from_hex(std::string_view hex) {
  Bytes bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

Bytes image_bytes(const MirageImage& image) {
  Bytes bytes(image.bytes, '\0');
  std::istringstream lines{std::string(image.sparse)};
  std::size_t offset = 0;
  std::string hex;
  while (lines >> offset >> hex) {
    const Bytes piece = from_hex(hex);
    bytes.replace(offset, piece.size(), piece);
  }
  return bytes;
}

Bytes item_bytes(const json& item) {
  std::string hex;
  for (const auto& line : item["hex"]) hex += line.get<std::string>();
  return from_hex(hex);
}

const MirageImage& image_named(std::string_view name) {
  for (const auto& image : testing::mirage_images()) {
    if (image.name == name) return image;
  }
  throw std::out_of_range(std::string(name));
}

// A disk of 512-byte sectors with those bytes, whatever came before.
struct ImageDisk {
  explicit ImageDisk(const Bytes& bytes)
      : disk({.size = bytes.size(), .sector_size = 512}),
        world({[this] { return disk.open(); }}, Format::mirage_1_0) {
    EXPECT_OK(disk.overwrite(0, bytes));
  }

  Bytes contents() const { return disk.contents(0, static_cast<std::size_t>(disk.size())); }

  MemoryDisk disk;
  World world;
};

AttachOptions golden(World& world) {
  AttachOptions options = world.options("gen");
  options.queue = "golden";
  return options;
}

class MirageImages : public ::testing::TestWithParam<MirageImage> {};
INSTANTIATE_TEST_SUITE_P(, MirageImages, ::testing::ValuesIn(testing::mirage_images()),
                         [](const auto& instance) { return std::string(instance.param.name); });

TEST_P(MirageImages, holds_what_its_description_says_and_reading_changes_nothing) {
  const Bytes bytes = image_bytes(GetParam());
  const json expected = json::parse(GetParam().json);
  ImageDisk there(bytes);
  World& world = there.world;
  const auto device = world.open();
  const auto info = world.run(inspect(*device));
  if (!expected.contains("producer_offset")) {
    EXPECT_EQ(kind_of(info), ErrorKind::not_found);
    EXPECT_EQ(kind_of(world.create(*device)), ErrorKind::invalid_argument);
    EXPECT_EQ(kind_of(world.producer(*device)), ErrorKind::not_found);
    EXPECT_EQ(there.contents(), bytes);
    return;
  }
  ASSERT_OK(info);
  EXPECT_EQ(info->sector_size, expected["sector_size"]);
  EXPECT_EQ(info->producer.position.offset(), expected["producer_offset"]);
  EXPECT_EQ(info->consumer.position.offset(), expected["consumer_offset"]);
  EXPECT_EQ(info->producer.suspend, expected["suspend_ack"]);
  EXPECT_EQ(info->consumer.suspend, expected["suspend"]);
  EXPECT_EQ(info->producer.text, expected["producer_text"]);
  EXPECT_EQ(info->consumer.text, expected["consumer_text"]);

  ASSERT_OK(world.create(*device));
  auto producer = world.producer(*device);
  ASSERT_OK(producer);
  auto consumer = world.consumer(*device);
  ASSERT_OK(consumer);
  std::size_t count = 0;
  const auto end = world.run(consumer->for_each([&](const ItemView& item) -> Status {
    const json& described = expected["items"].at(count++);
    EXPECT_EQ(item.start.offset(), described["start"]);
    EXPECT_EQ(item.after.offset(), described["after"]);
    EXPECT_EQ(item.bytes, item_bytes(described));
    return {};
  }));
  ASSERT_OK(end);
  EXPECT_EQ(count, expected["items"].size());
  EXPECT_EQ(there.contents(), bytes);
  for (const std::size_t size : {0u, 1u, 4u}) {
    const std::string key =
        "next_push_of_" + std::to_string(size) + "_byte" + (size == 1 ? "" : "s");
    if (!expected.contains(key) || expected[key] != "Retry") continue;
    EXPECT_EQ(kind_of(world.run(producer->push(Bytes(size, 'x')))), ErrorKind::retry) << key;
  }
}

TEST(MirageWrites, the_same_pushes_give_the_same_bytes) {
  for (const char* name :
       {"b_lengths", "c_header_last4_of_sector", "e_full_exact", "e3_full_4_free", "k2_min_full"}) {
    SCOPED_TRACE(name);
    const Bytes expected = image_bytes(image_named(name));
    ImageDisk there(Bytes(expected.size(), '\0'));
    World& world = there.world;
    const auto device = world.open();
    ASSERT_OK(world.create(*device));
    auto producer = world.run(Producer::attach(*device, golden(world)));
    ASSERT_OK(producer);
    const json description = json::parse(image_named(name).json);
    for (const json& item : description["items"]) {
      const auto end = world.run(producer->push(item_bytes(item)));
      ASSERT_OK(end);
      ASSERT_OK(world.run(producer->advance(*end)));
    }
    EXPECT_TRUE(there.contents() == expected);
  }
}

TEST(MirageWrites, consuming_gives_the_same_bytes) {
  ImageDisk there(image_bytes(image_named("b_lengths")));
  World& world = there.world;
  const auto device = world.open();
  auto consumer = world.run(Consumer::attach(*device, golden(world)));
  ASSERT_OK(consumer);
  for (int i = 0; i < 6; ++i) {
    const auto item = world.run(consumer->pop());
    ASSERT_OK(item);
    ASSERT_OK(world.run(consumer->advance(item->after)));
  }
  EXPECT_TRUE(there.contents() == image_bytes(image_named("b2_lengths_part_consumed")));
}

TEST(MirageWrites, suspending_and_resuming_give_the_same_bytes) {
  ImageDisk there(Bytes(8192, '\0'));
  World& world = there.world;
  const auto device = world.open();
  ASSERT_OK(world.create(*device));
  auto producer = world.run(Producer::attach(*device, golden(world)));
  ASSERT_OK(producer);
  auto consumer = world.run(Consumer::attach(*device, golden(world)));
  ASSERT_OK(consumer);
  const json description = json::parse(image_named("g_suspended_not_acked").json);
  for (const json& item : description["items"]) {
    ASSERT_OK(world.run(producer->publish(item_bytes(item))));
  }
  ASSERT_OK(world.run(consumer->suspend()));
  EXPECT_TRUE(there.contents() == image_bytes(image_named("g_suspended_not_acked")));
  EXPECT_EQ(*world.run(producer->state()), State::suspended);
  EXPECT_TRUE(there.contents() == image_bytes(image_named("h_suspended_acked")));
  ASSERT_OK(world.run(consumer->resume()));
  EXPECT_EQ(*world.run(producer->state()), State::running);
  EXPECT_TRUE(there.contents() == image_bytes(image_named("i2_resumed_acked")));
}

TEST(MirageWrites, a_push_without_advance_gives_the_same_bytes) {
  const Bytes expected = image_bytes(image_named("f_pushed_not_advanced"));
  ImageDisk there(Bytes(8192, '\0'));
  World& world = there.world;
  const auto device = world.open();
  ASSERT_OK(world.create(*device));
  auto producer = world.run(Producer::attach(*device, golden(world)));
  ASSERT_OK(producer);
  const auto length = static_cast<unsigned char>(expected[3 * 512]);
  const auto end = world.run(producer->push(BytesView(expected).substr(3 * 512 + 4, length)));
  ASSERT_OK(end);
  EXPECT_EQ(end->offset(), 28u);
  EXPECT_TRUE(there.contents() == expected);
}

TEST(MirageDamage, a_length_that_reaches_too_far_is_an_error_and_not_believed) {
  for (const std::uint32_t length : {4641u, 6653u, 0x7fffffffu, 0xffffffffu, 0xfffffffcu}) {
    ImageDisk there(image_bytes(image_named("b_lengths")));
    World& world = there.world;
    Bytes field;
    append_little_endian_u32(field, length);
    ASSERT_OK(there.disk.overwrite(3 * 512, field));
    const auto device = world.open();
    auto consumer = world.consumer(*device);
    ASSERT_OK(consumer);
    const auto item = world.run(consumer->pop());
    EXPECT_EQ(kind_of(item), ErrorKind::corrupt);
    const auto next = world.run(consumer->resync(consumer->consumed()));
    ASSERT_OK(next);
    ASSERT_OK(world.run(consumer->advance(*next)));
    EXPECT_EQ(kind_of(world.run(consumer->pop())), ErrorKind::retry);
  }
}

TEST(MirageDamage, positions_that_cannot_be_right_are_an_error) {
  for (const std::uint64_t position : {std::uint64_t{1}, std::uint64_t{1} << 63, ~std::uint64_t{0},
                                       ~std::uint64_t{3}, std::uint64_t{100'000}}) {
    for (const std::uint64_t sector : {1u, 2u}) {
      ImageDisk there(image_bytes(image_named("b_lengths")));
      Bytes field;
      append_little_endian_u64(field, position);
      ASSERT_OK(there.disk.overwrite(sector * 512, field));
      const auto device = there.world.open();
      EXPECT_EQ(kind_of(there.world.producer(*device)), ErrorKind::corrupt) << position;
      EXPECT_EQ(kind_of(there.world.consumer(*device)), ErrorKind::corrupt) << position;
    }
  }
}

}  // namespace
}  // namespace semper::ring
