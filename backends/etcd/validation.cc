#include "validation.h"

#include <utility>

#include "semper/base/internal/mutant.h"

namespace semper::etcd {
namespace {

// What is asked, in parts of kValidationReads; the stamp is read along with each.
class Questions {
 public:
  Questions(const Layout& layout, const Plan& plan) : layout_(&layout), plan_(&plan) {
    for (const auto& read : plan.request.reads) ask(read);
    sums_begin_ = asked_;
    sums_ = plan.effects_at(0).added;
    for (const auto& [key, amount] : sums_) range(next(), layout.stored(key));
  }

  const std::vector<pb::TxnRequest>& parts() const { return parts_; }

  // Error: conflict.
  Status take(const std::vector<pb::TxnResponse>& answers, Validated& found) const {
    std::size_t number = 0;
    auto sum = sums_.begin();
    for (const auto& answer : answers) {
      for (int i = 1; i < answer.responses_size(); ++i, ++number) {
        if (number < sums_begin_) {
          const auto& read = plan_->request.reads[number];
          if (has_changed(read, answer.responses(i).response_range())) {
            return fail(ErrorKind::conflict,
                        "something that the transaction read has changed; begin anew");
          }
          continue;
        }
        const auto* row = only_row(answer.responses(i));
        found.values.emplace(sum->first,
                             row == nullptr ? std::nullopt : std::optional<Bytes>(row->value()));
        ++sum;
      }
    }
    return {};
  }

 private:
  pb::RequestOp& next() {
    if (asked_++ % kValidationReads == 0) {
      parts_.emplace_back();
      range(*parts_.back().add_success(), layout_->stamp());
    }
    return *parts_.back().add_success();
  }

  // The rows written since, if any, and the number of all.
  void ask(const ReadRecord& read) {
    auto& request = *next().mutable_request_range();
    request.set_key(layout_->stored(read.range.begin));
    request.set_range_end(layout_->stored(read.range.end));
    request.set_keys_only(true);
    request.set_limit(1);
    request.set_min_mod_revision(plan_->begun.bound(read.range) + 1);
  }

  static bool has_changed(const ReadRecord& read, const pb::RangeResponse& now) {
    if (SEMPER_MUTANT("etcd_removed_row_not_missed")) return now.kvs_size() > 0;
    return now.kvs_size() > 0 || static_cast<std::uint64_t>(now.count()) != read.rows;
  }

  const Layout* layout_;
  const Plan* plan_;
  std::map<Bytes, std::uint64_t> sums_;
  std::vector<pb::TxnRequest> parts_;
  std::size_t asked_ = 0;
  std::size_t sums_begin_ = 0;
};

Revision stamp_revision(const pb::TxnResponse& answer) {
  const auto* row = answer.responses_size() == 0 ? nullptr : only_row(answer.responses(0));
  return row == nullptr ? 0 : row->mod_revision();
}

}  // namespace

Async<Validated> validate(Kv& kv, const Layout& layout, const Plan& plan) {
  const Questions questions(layout, plan);
  for (int round = 0; round < kValidationRounds; ++round) {
    std::vector<pb::TxnResponse> answers;
    bool moved = false;
    for (const auto& part : questions.parts()) {
      SEMPER_CO_TRY(auto answer, co_await kv.read(part));
      moved = !answers.empty() && stamp_revision(answer) != stamp_revision(answers.front());
      answers.push_back(std::move(answer));
      if (moved) break;
    }
    if (moved) continue;
    Validated found;
    if (!answers.empty()) found.stamp_revision = stamp_revision(answers.front());
    SEMPER_CO_TRY_STATUS(questions.take(answers, found));
    co_return found;
  }
  co_return fail(ErrorKind::conflict,
                 "others commit faster than the reads of this transaction can be checked; begin "
                 "anew, and read less in one");
}

}  // namespace semper::etcd
