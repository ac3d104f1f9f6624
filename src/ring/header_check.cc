// What a semper-1 ring has besides items, checked block by block.
#include <algorithm>
#include <utility>

#include "ring/semper_format.h"
#include "ring/superblock.h"
#include "semper/base/crc32c.h"
#include "semper/ring/ring.h"

namespace semper::ring::internal {
namespace {

void add(std::vector<HeaderDamage>& damages, std::uint64_t offset, std::string why) {
  HeaderDamage damage;
  damage.offset = offset;
  damage.bytes = kBlockBytes;
  damage.why = std::move(why);
  damages.push_back(std::move(damage));
}

void check_superblock_copy(std::vector<HeaderDamage>& damages, BytesView block,
                           std::uint64_t place) {
  Superblock superblock;
  if (load_superblock(block, place, superblock) != BlockCheck::valid) {
    add(damages, place, "a copy of the superblock is damaged; create() writes it again");
  } else if (!is_zero(block.substr(kBlockContentBytes))) {
    add(damages, place, "not zero behind a copy of the superblock");
  }
}

}  // namespace

Async<std::vector<HeaderDamage>> SemperFormat::check_headers() {
  AlignedBuffer head(kDataStart);
  ReadParts parts{head.span()};
  SEMPER_CO_TRY_STATUS(co_await device().read(0, std::move(parts)));
  std::vector<HeaderDamage> damages;
  const auto block = [&](std::uint64_t place) { return head.view().substr(place, kBlockBytes); };
  check_superblock_copy(damages, block(0), 0);
  std::vector<std::uint32_t> spare_checksums;  // of what the spare block may hold
  for (const Side side : {Side::producer, Side::consumer}) {
    const std::string whose = "the " + std::string(to_string(side)) + "'s position";
    for (const std::uint64_t place :
         {pointer_place(side, 0), pointer_place(side, 1), claim_place(side)}) {
      const bool is_claim = place == claim_place(side);
      if (is_claim && is_zero(block(place))) continue;  // nobody has attached yet
      const auto pointer = load_pointer(block(place), side, place, identity_crc_);
      if (!pointer) {
        add(damages, place, "a copy of " + whose + " is damaged; attaching writes it again");
        continue;
      }
      spare_checksums.push_back(pointer->redo.crc);
      if (!is_zero(block(place).substr(kBlockContentBytes))) {
        add(damages, place, "not zero behind a copy of " + whose);
      }
    }
  }
  const BytesView spare = block(kSpareBlock);
  const auto known = std::find(spare_checksums.begin(), spare_checksums.end(), crc32c(spare));
  const bool is_note =
      load_redo_note(spare, identity_crc_).has_value() && is_zero(spare.substr(kBlockContentBytes));
  if (!is_zero(spare) && !is_note && known == spare_checksums.end()) {
    add(damages, kSpareBlock,
        "the spare block is neither zero nor a note nor the copy that it was");
  }
  const std::uint64_t place = superblock_copy_place(device());
  if (place < geometry().data_start + geometry().capacity) {
    add(damages, place,
        "the device was cut short: these are items, and there is no room behind them for the "
        "second "
        "copy of the superblock; make it as large as it was");
    co_return damages;
  }
  ReadParts last{head.span().first(kBlockBytes)};
  SEMPER_CO_TRY_STATUS(co_await device().read(place, std::move(last)));
  check_superblock_copy(damages, block(0), place);
  co_return damages;
}

}  // namespace semper::ring::internal
