#include "store/copy.h"

#include <filesystem>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "common/document.h"
#include "common/text.h"
#include "semper/store/tuple_text.h"
#include "store/copy_passes.h"
#include "store/copy_target.h"
#include "store/copy_use.h"

namespace semper::cli {
namespace {

// Passes over a source that nobody should be writing to; and over one that is in use.
constexpr int kPassesMaximum = 5;
constexpr int kOnlinePasses = 3;

Async<Version> version_of(const Store& store) {
  co_return co_await store.transact(
      [](Transaction& transaction) { return transaction.read_version(); });
}

const char* name_of(Difference::Kind kind) {
  switch (kind) {
    case Difference::Kind::only_in_source:
      return "only in the source";
    case Difference::Kind::only_in_target:
      return "only in the target";
    case Difference::Kind::other_value:
      return "another value";
  }
  return "";
}

Bytes tally_item(const Tally& tally) {
  return Fields()
      .add("keys", number_item(tally.keys))
      .add("bytes", number_item(tally.bytes))
      .add("checksum", text_item(checksum_text(tally)))
      .item();
}

Bytes differences_item(const Compared& compared) {
  List list;
  for (const auto& each : compared.named) {
    list.add(Fields()
                 .add("key", text_item(printable_key(each.key)))
                 .add("key_hex", text_item(to_hex(each.key)))
                 .add("difference", text_item(name_of(each.kind)))
                 .item());
  }
  return list.item();
}

void say_differences(Invocation& invocation, const Compared& compared) {
  for (const auto& each : compared.named) {
    invocation.say(std::string(name_of(each.kind)) + ": " + printable_key(each.key));
  }
  if (compared.differences > compared.named.size()) {
    invocation.say("... and " + std::to_string(compared.differences - compared.named.size()) +
                   " more");
  }
}

// One run of the command.
class Copying {
 public:
  Copying(Invocation& invocation, CopyArguments arguments, Store source, Store target)
      : invocation_(invocation),
        arguments_(std::move(arguments)),
        source_(std::move(source)),
        target_(std::move(target)),
        passes_(source_, target_, invocation.interrupt()) {}

  Async<void> run() {
    if (arguments_.compare) co_return co_await compare();
    SEMPER_CO_TRY_STATUS(co_await look_for_users());
    SEMPER_CO_TRY_STATUS(co_await plan());
    SEMPER_CO_TRY_STATUS(co_await measure());
    SEMPER_CO_TRY(source_version_, co_await version_of(source_));
    SEMPER_CO_TRY(target_version_, co_await version_of(target_.store()));
    if (arguments_.check) co_return report_check();
    SEMPER_CO_TRY_STATUS(confirm_overwriting());
    SEMPER_CO_TRY_STATUS(co_await raise_version());
    SEMPER_CO_TRY_STATUS(co_await fill());
    SEMPER_CO_TRY(const auto compared, co_await settle());
    invocation_.mark_done();
    if (arguments_.online) co_return report("prepared", compared);
    SEMPER_CO_TRY_STATUS(co_await look_for_latecomers());
    SEMPER_CO_TRY_STATUS(co_await raise_version());
    SEMPER_CO_TRY_STATUS(co_await target_.finish());
    co_return report("copied", compared);
  }

 private:
  std::string from() const { return shown(source_.url()); }
  std::string to() const { return shown(target_.store().url()); }

  Async<void> compare() {
    Progress progress = invocation_.progress(*source_.env().clock);
    SEMPER_CO_TRY(const auto compared,
                  co_await passes_.compare(CopyPasses::Write::nothing, progress, 0));
    SEMPER_CO_TRY_STATUS(report("compared", compared));
    if (compared.differences == 0) co_return Status{};
    co_return fail(ErrorKind::conflict, std::to_string(compared.differences) + " keys of " +
                                            from() + " and " + to() + " differ");
  }

  Async<void> look_for_users() {
    SEMPER_CO_TRY(const auto of_target,
                  co_await find_use(target_.store(), invocation_.interrupt()));
    if (!of_target.alive.empty()) {
      co_return fail(ErrorKind::retry, to() + " is in use by " + use_in_words(of_target.alive) +
                                           "; nothing is copied into a store that is in use");
    }
    SEMPER_CO_TRY(const auto of_source, co_await find_use(source_, invocation_.interrupt()));
    if (!of_source.alive.empty() && !arguments_.online) {
      co_return fail(ErrorKind::retry,
                     from() + " is in use by " + use_in_words(of_source.alive) +
                         "; stop what uses it, or copy most of it beforehand with --online");
    }
    has_silent_users_ = !of_source.silent.empty();
    if (has_silent_users_) {
      invocation_.note(from() + " was used by " + use_in_words(of_source.silent) + ", silent for " +
                       shown_span(kUseSilence) + " and so taken for dead");
    }
    co_return Status{};
  }

  // Hosts that began while the copy went on. Silent ones would be waited for once more.
  Async<void> look_for_latecomers() {
    if (has_silent_users_) co_return Status{};
    SEMPER_CO_TRY(const auto use, co_await find_use(source_, invocation_.interrupt()));
    if (use.alive.empty()) co_return Status{};
    co_return fail(ErrorKind::retry, from() + " has come to be used by " + use_in_words(use.alive) +
                                         " while it was copied; stop that, and run this again");
  }

  // What the target holds decides where to begin.
  Async<void> plan() {
    CopyRecord fresh;
    fresh.from = source_.url();
    SEMPER_CO_TRY(const bool empty, co_await target_.is_empty());
    if (arguments_.overwrite) {
      overwrites_ = !empty;
      fresh.filled = !empty;  // what is there is compared, not written again
      plan_ = std::move(fresh);
      co_return Status{};
    }
    SEMPER_CO_TRY(auto record, co_await target_.find_record());
    if (record && record->from != fresh.from) {
      co_return fail(ErrorKind::already_exists,
                     to() + " holds an unfinished copy of " + shown(record->from) +
                         "; go on with that one, or begin anew with --overwrite");
    }
    if (!record && !empty) {
      co_return fail(ErrorKind::already_exists,
                     to() +
                         " holds keys already; name an empty store, or say --overwrite to make "
                         "it like the source, whatever it holds");
    }
    resumes_ = record.has_value();
    plan_ = resumes_ ? std::move(*record) : std::move(fresh);
    co_return Status{};
  }

  Status confirm_overwriting() {
    if (!overwrites_) return {};
    return invocation_.confirm("this makes " + to() + " like " + from() +
                               ", and deletes whatever else it holds");
  }

  Async<void> measure() {
    Progress progress = invocation_.progress(*source_.env().clock);
    SEMPER_CO_TRY(measured_, co_await passes_.measure(progress));
    if (measured_.misfits > 0) {
      if (measured_.misfits > 1) {
        for (const auto& each : measured_.named) invocation_.note(each);
      }
      co_return fail(ErrorKind::exhausted,
                     to() + " cannot hold " + std::to_string(measured_.misfits) + " rows of " +
                         from() + "; nothing was written. " + measured_.named.front());
    }
    invocation_.say("measured  " + tally_in_words(measured_.tally) +
                    (resumes_ ? ", of which " + std::to_string(plan_.keys) + " were copied before"
                              : std::string()));
    co_return invocation_.flush();
  }

  // Stamps that the source gave out stay below those that the target will give.
  Async<void> raise_version() {
    SEMPER_CO_TRY(source_version_, co_await version_of(source_));
    const Status raised = co_await target_.store().backend().raise_version(source_version_);
    if (raised) co_return Status{};
    co_return fail(raised.error().in(
        "versionstamps of " + from() + ", at version " + std::to_string(source_version_) +
        ", would be given out again, which breaks the order of queues"));
  }

  Async<void> fill() {
    if (!plan_.filled && !resumes_) plan_.source_version = source_version_;
    SEMPER_CO_TRY_STATUS(co_await target_.claim(plan_));
    if (plan_.filled) co_return Status{};
    Progress progress = invocation_.progress(*source_.env().clock);
    SEMPER_CO_TRY_STATUS(co_await passes_.fill(progress, measured_.tally.bytes));
    const CopyRecord& record = target_.record();
    invocation_.say("copied    " + tally_in_words({record.keys, record.bytes, 0}));
    co_return invocation_.flush();
  }

  // Passes until one finds nothing to do.
  Async<Compared> settle() {
    const int passes = arguments_.online ? kOnlinePasses : kPassesMaximum;
    Compared compared;
    for (int pass = 1; pass <= passes; ++pass) {
      SEMPER_CO_TRY(const Version before, co_await version_of(source_));
      const bool still = is_still_at(before);
      SEMPER_CO_TRY(compared, co_await compare_once(still ? CopyPasses::Write::nothing
                                                          : CopyPasses::Write::differences));
      SEMPER_CO_TRY(const Version after, co_await version_of(source_));
      const bool moved = tells_commits() && after != before;
      if (compared.differences == 0 && !moved) co_return compared;
      if (still && !moved) co_return refuse_damage(compared);
      if (!still) target_.record().source_version = before;
      invocation_.say("pass " + std::to_string(pass) + "    " +
                      std::to_string(compared.differences) + " keys had changed");
      SEMPER_CO_TRY_STATUS(invocation_.flush());
    }
    if (arguments_.online) co_return compared;
    co_return fail(ErrorKind::retry, from() + " is still being written to: after " +
                                         std::to_string(passes) + " passes " +
                                         std::to_string(compared.differences) +
                                         " keys had changed once more; stop what writes to it, and "
                                         "run this again to finish");
  }

  Async<Compared> compare_once(CopyPasses::Write write) {
    Progress progress = invocation_.progress(*source_.env().clock);
    co_return co_await passes_.compare(write, progress, measured_.tally.bytes);
  }

  // Versions of the source grow with its commits, and only then.
  bool tells_commits() const { return source_.backend().traits().versions_are_commits; }

  // Nothing was written to the source since the target was made like it.
  bool is_still_at(Version version) {
    return tells_commits() && target_.record().source_version == version;
  }

  Result<Compared> refuse_damage(const Compared& compared) {
    SEMPER_TRY_STATUS(report("different", compared));
    return fail(
        ErrorKind::corrupt,
        to() + " does not hold what was copied into it: " + std::to_string(compared.differences) +
            " keys differ, the first is " + printable_key(compared.named.front().key) +
            "; find out who changes it, then begin anew with --overwrite");
  }

  Status report_check() {
    const bool raised = source_version_ > target_version_;
    if (invocation_.json()) {
      return invocation_.print_document(Fields()
                                            .add("result", text_item("possible"))
                                            .add("source", tally_item(measured_.tally))
                                            .add("resumes", flag_item(resumes_))
                                            .add("overwrites", flag_item(overwrites_))
                                            .add("source_version", number_item(source_version_))
                                            .add("target_version", number_item(target_version_))
                                            .item());
    }
    invocation_.say(std::string("possible  ") +
                    (resumes_      ? "it goes on with the copy that was begun"
                     : overwrites_ ? "what the target holds is overwritten"
                                   : "the target is empty") +
                    (raised ? "; its version is raised from " + std::to_string(target_version_) +
                                  " to " + std::to_string(source_version_)
                            : std::string()));
    return {};
  }

  Status report(const char* result, const Compared& compared) {
    if (invocation_.json()) {
      return invocation_.print_document(Fields()
                                            .add("result", text_item(result))
                                            .add("source", tally_item(compared.source))
                                            .add("target", tally_item(compared.target))
                                            .add("differences", number_item(compared.differences))
                                            .add("named", differences_item(compared))
                                            .add("resumed", flag_item(resumes_))
                                            .item());
    }
    if (compared.differences > 0 && !arguments_.online) say_differences(invocation_, compared);
    if (arguments_.online) {
      invocation_.say(
          "prepared  the copy is not finished: stop what uses the source, and run this "
          "without --online");
      return {};
    }
    const bool same = compared.source == compared.target;
    invocation_.say((same ? "verified  " : "source    ") + tally_in_words(compared.source) +
                    ", checksum " + checksum_text(compared.source) +
                    (same ? " on both sides" : ""));
    if (!same) {
      invocation_.say("target    " + tally_in_words(compared.target) + ", checksum " +
                      checksum_text(compared.target));
    }
    return {};
  }

  Invocation& invocation_;
  const CopyArguments arguments_;
  const Store source_;
  CopyTarget target_;
  CopyPasses passes_;

  CopyRecord plan_;
  bool resumes_ = false;
  bool overwrites_ = false;
  bool has_silent_users_ = false;
  Measured measured_;
  Version source_version_ = 0;
  Version target_version_ = 0;
};

// Also where one is written in another way, or is a link to the other.
bool are_one_store(const std::string& from, const std::string& to) {
  constexpr std::string_view kScheme = "sqlite:";
  if (from == to) return true;
  if (!from.starts_with(kScheme) || !to.starts_with(kScheme)) return false;
  const auto file = [&](const std::string& url) {
    return url.substr(kScheme.size(), url.find('?') - kScheme.size());
  };
  std::error_code ignored;
  return std::filesystem::equivalent(file(from), file(to), ignored);
}

Status check_arguments(const Invocation& invocation, const CopyArguments& arguments) {
  if (!invocation.settings().tenant.empty()) {
    return fail(ErrorKind::invalid_argument,
                "store copy copies a whole store with all its tenants; leave --tenant out");
  }
  if (are_one_store(arguments.from, arguments.to)) {
    return fail(ErrorKind::invalid_argument,
                "FROM and TO are the same store, " + to_printable(arguments.from, 1024));
  }
  for (const auto& url : {arguments.from, arguments.to}) {
    SEMPER_TRY(const auto parsed, StoreUrl::parse(url));
    if (parsed.scheme == "memory" && parsed.path.empty()) {
      return fail(ErrorKind::invalid_argument,
                  "a memory: store lives in the process that has it open; there is nothing to copy "
                  "from it or to it");
    }
  }
  return {};
}

}  // namespace

Async<void> copy_store(Invocation& invocation, CopyArguments arguments) {
  SEMPER_CO_TRY_STATUS(check_arguments(invocation, arguments));
  using Purpose = Invocation::Purpose;
  const bool only_looks = arguments.check || arguments.compare;
  const auto purpose = only_looks ? Purpose::read : Purpose::create;
  SEMPER_CO_TRY(const Store source, co_await invocation.open_other(arguments.from, Purpose::read));
  SEMPER_CO_TRY(const Store target, co_await invocation.open_other(arguments.to, purpose));
  Copying copying(invocation, std::move(arguments), source, target);
  co_return co_await copying.run();
}

}  // namespace semper::cli
