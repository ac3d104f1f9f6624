#include "store/copy_passes.h"

#include <optional>
#include <utility>

#include "common/text.h"
#include "semper/store/tuple_text.h"

namespace semper::cli {
namespace {

// Room that a transaction with a single row needs besides it: the record.
constexpr std::size_t kRecordBytesMaximum = 32'768;

// Why the target cannot hold the row; empty where it can.
std::string misfit(const KeyValue& row, const Limits& limits) {
  const auto over = [](const char* what, std::size_t is, const char* limit_name,
                       std::size_t limit) {
    return std::string("its ") + what + " has " + std::to_string(is) +
           " bytes, and the target's limit " + limit_name + " is " + std::to_string(limit);
  };
  if (row.key.size() > limits.key_bytes) {
    return over("key", row.key.size(), "key_bytes", limits.key_bytes);
  }
  if (row.value.size() > limits.value_bytes) {
    return over("value", row.value.size(), "value_bytes", limits.value_bytes);
  }
  const std::size_t alone = row.key.size() + row.value.size() + kRecordBytesMaximum;
  if (alone > limits.transaction_bytes) {
    return over("transaction", alone, "transaction_bytes", limits.transaction_bytes);
  }
  return "";
}

// Where two sides stand next to each other in order of keys: which of them has the row at hand.
std::optional<Difference::Kind> difference(const KeyValue* source, const KeyValue* target) {
  if (target == nullptr || (source != nullptr && source->key < target->key)) {
    return Difference::Kind::only_in_source;
  }
  if (source == nullptr || target->key < source->key) return Difference::Kind::only_in_target;
  if (source->value != target->value) return Difference::Kind::other_value;
  return std::nullopt;
}

}  // namespace

Status CopyPasses::check_interrupt() const {
  if (!interrupt_.requested()) return {};
  return fail(ErrorKind::cancelled,
              "interrupted; what is copied stays, and the same command goes on from there");
}

Async<Measured> CopyPasses::measure(Progress& progress) {
  Measured measured;
  RowReader reader(source_);
  const Limits& limits = target_.store().limits();
  while (true) {
    if (reader.needs_page()) {
      SEMPER_CO_TRY_STATUS(check_interrupt());
      SEMPER_CO_TRY_STATUS(co_await reader.read_page());
      progress.update(measured.tally.keys, measured.tally.bytes);
    }
    const KeyValue* row = reader.row();
    if (row == nullptr) co_return measured;
    measured.tally.add(*row);
    const std::string why = misfit(*row, limits);
    if (!why.empty() && ++measured.misfits <= kNamedMaximum) {
      measured.named.push_back("key " + printable_key(row->key) + ": " + why);
    }
    reader.pop();
  }
}

Async<void> CopyPasses::fill(Progress& progress, std::uint64_t expected_bytes) {
  CopyRecord& record = target_.record();
  RowReader reader(source_, record.next);
  while (true) {
    if (reader.needs_page()) {
      SEMPER_CO_TRY_STATUS(check_interrupt());
      SEMPER_CO_TRY_STATUS(co_await reader.read_page());
    }
    const KeyValue* row = reader.row();
    if (row == nullptr) break;
    if (!target_.has_room_for(*row)) {
      SEMPER_CO_TRY_STATUS(co_await target_.write());
      SEMPER_CO_TRY_STATUS(check_interrupt());
      progress.update(record.keys, record.bytes, expected_bytes);
    }
    target_.set(*row);
    record.next = key_after(row->key);
    ++record.keys;
    record.bytes += row->key.size() + row->value.size();
    reader.pop();
  }
  record.filled = true;
  record.next.clear();
  co_return co_await target_.write();
}

Async<void> CopyPasses::repair(Difference::Kind kind, const KeyValue& row) {
  if (!target_.has_room_for(row)) SEMPER_CO_TRY_STATUS(co_await target_.write());
  if (kind == Difference::Kind::only_in_target) {
    target_.clear(row);
  } else {
    target_.set(row);
  }
  co_return Status{};
}

Async<Compared> CopyPasses::compare(Write write, Progress& progress, std::uint64_t expected_bytes) {
  Compared compared;
  RowReader source(source_);
  RowReader target(target_.store());
  while (true) {
    for (RowReader* reader : {&source, &target}) {
      if (!reader->needs_page()) continue;
      SEMPER_CO_TRY_STATUS(check_interrupt());
      SEMPER_CO_TRY_STATUS(co_await reader->read_page());
      progress.update(compared.source.keys, compared.source.bytes, expected_bytes);
    }
    const KeyValue* from = source.row();
    const KeyValue* to = target.row();
    if (from == nullptr && to == nullptr) break;
    const auto kind = difference(from, to);
    if (kind) {
      const KeyValue& row = kind == Difference::Kind::only_in_target ? *to : *from;
      if (++compared.differences <= kNamedMaximum) compared.named.push_back({*kind, row.key});
      if (write == Write::differences) SEMPER_CO_TRY_STATUS(co_await repair(*kind, row));
    }
    if (kind != Difference::Kind::only_in_target) {
      compared.source.add(*from);
      source.pop();
    }
    if (kind != Difference::Kind::only_in_source) {
      compared.target.add(*to);
      target.pop();
    }
  }
  if (!target_.is_empty_batch()) SEMPER_CO_TRY_STATUS(co_await target_.write());
  co_return compared;
}

}  // namespace semper::cli
