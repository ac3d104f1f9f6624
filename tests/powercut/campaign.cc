#include "campaign.h"

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <list>
#include <memory>
#include <sstream>

#include "crash/workers.h"
#include "device.h"
#include "disk.h"
#include "loop_device.h"
#include "roles.h"
#include "semper/env/random.h"
#include "semper/testing/child_process.h"
#include "semper/testing/temporary_folder.h"

namespace semper::testing {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kRoundsPerLife = 8;
constexpr std::uint64_t kProgressEvery = 100;
constexpr int kRestartsOfARound = 50;
constexpr std::size_t kShown = 10;
constexpr auto kCutLimit = std::chrono::seconds(60);
constexpr auto kJudgeLimit = std::chrono::seconds(120);

// Any of these many operations the cut may fall on: on the first ones, on recovery, in full work.
constexpr std::uint64_t kScales[] = {30, 300, 1500};

struct Victim {
  std::string name;
  std::vector<std::string> workers;
  std::string judge;
  std::string format = "semper-1";  // empty: either, by the life's seed
  bool flushes = true;
  // In some rounds; not for who makes no promise about that, nor on loop devices: there the kernel
  // tells one process of a failed flush, and the other one nothing.
  bool flushes_fail = true;
  bool on_loop = false;  // the ring is on a loop device over a file of the disk
};

const std::vector<Victim>& victims() {
  static const std::vector<Victim> all = {
      {"sqlite", {"consumer", "publisher", "serving-publisher"}, "store-judge"},
      {"semper-1", {"ring-producer", "ring-consumer"}, "ring-judge", "semper-1"},
      {"mirage-1.0", {"ring-producer", "ring-consumer"}, "ring-judge", "mirage-1.0"},
      {"journal", {"journal"}, "journal-judge", ""},
      {"drain", {"drain", "consumer"}, "drain-judge"},
      {"loop", {"ring-producer", "ring-consumer"}, "ring-judge", "", true, false, true},
      {"plain-sqlite", {"plain-sqlite"}, "plain-sqlite-judge", "", true, false},
      // To be caught.
      {"lying-ring", {"ring-producer", "ring-consumer"}, "ring-judge", "semper-1", false, false},
      {"lying-sqlite", {"plain-sqlite"}, "plain-sqlite-judge", "", false, false},
  };
  return all;
}

// One disk, from its first file on.
class Life {
 public:
  Life(const Victim& victim, std::uint64_t seed, CampaignResult& result)
      : victim_(victim), seed_(seed), random_(seed), result_(result) {
    fs::create_directory(mount_.path("disk"));
    fs::create_directory(notes() + "/journals");
    disk_ = std::make_unique<Disk>(mount_.path("disk"),
                                   random_.chance(0.5) ? Names::posix : Names::journaled, seed);
    base_.disk = disk_->mount_point();
    base_.notes = notes();
    base_.flushes = victim.flushes;
    base_.format = !victim.format.empty() ? victim.format
                   : random_.chance(0.7)  ? "semper-1"
                                          : "mirage-1.0";
  }

  // False: the victim cannot be had here.
  bool prepare() {
    if (!victim_.on_loop) return true;
    sector_size_ = random_.chance(0.5) ? 512 : 4096;
    CreateFileOptions wanted;
    wanted.size = kRingBytes;
    const auto made = create_block_file(disk_->path("ring"), wanted);
    if (!made) blame(made.error().to_string());
    return made && plug_in();
  }

  void round(bool is_last) {
    FaultPlan plan;
    plan.cut_at = 1 + random_.below(kScales[random_.below(std::size(kScales))]);
    plan.cut_before = random_.chance(0.5);
    has_faults_ = victim_.flushes_fail && random_.chance(0.25);
    if (has_faults_) plan.fail_flush = 1 + random_.below(30);
    // Whoever held something is known to be dead after most cuts, and after some, as after a
    // reboot, not known to be.
    const bool is_new_boot = random_.chance(0.02);
    const bool is_judged = is_last || random_.chance(0.8);
    disk_->arm(plan);
    const auto what = work_until_cut();
    if (!result_.wrong.empty()) return;
    workers_.clear();
    forget_memory(is_new_boot);
    if (!plug_in()) blame("the loop device does not come back");
    ++result_.cuts;
    if (after_unjudged_) ++result_.recoveries_cut;
    after_unjudged_ = !is_judged;
    const auto said = disk_->statistics();
    if (said.repeated_flushes > 0) blame("a flush that had failed was asked for again");
    result_.failed_flushes += said.failed_flushes - failed_flushes_;
    failed_flushes_ = said.failed_flushes;
    if (is_judged) judge(what);
  }

  // What there is, for a person to look at.
  std::string keep() {
    std::string pattern = (fs::temp_directory_path() / "semper-powercut-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) return "nowhere";
    std::error_code ignored;
    fs::copy(notes(), pattern + "/notes", fs::copy_options::recursive, ignored);
    fs::copy(disk_->mount_point(), pattern + "/disk", fs::copy_options::recursive, ignored);
    return pattern;
  }

 private:
  std::string notes() const { return notes_.path(); }
  void blame(const std::string& sentence) { result_.wrong.push_back(sentence); }

  // Where the ring is on a loop device: anew, over the file as it is now.
  bool plug_in() {
    if (!victim_.on_loop) return true;
    loop_ = LoopDevice::over(disk_->path("ring"), sector_size_);
    base_.device = loop_ ? loop_->path() : "";
    return loop_ != nullptr;
  }

  ChildProcess start(const std::string& role) {
    const std::string name = "p" + std::to_string(++started_);
    const std::string url = store_url(base_.disk);
    if (role == "consumer") return ChildProcess(consumer_arguments(url, name));
    if (role == "publisher" || role == "serving-publisher") {
      PublisherOptions options;
      options.store = url;
      options.journal = notes() + "/journals/" + name;
      options.name = name;
      options.ledgers = kLedgerPrefix;
      options.total = kTotalLedger;
      options.seed = random_.below(1'000'000);
      options.serves = role == "serving-publisher";
      return ChildProcess(to_arguments(options));
    }
    RoleOptions options = base_;
    options.role = role;
    options.seed = random_.below(1'000'000);
    options.faults = has_faults_;
    return ChildProcess(to_arguments(options));
  }

  struct Worker {
    std::string role;
    ChildProcess process;
  };

  // Which operation it was.
  std::string work_until_cut() {
    int restarts = 0;
    for (const auto& role : victim_.workers) workers_.push_back({role, start(role)});
    const auto is_over = [&] {
      if (disk_->has_cut() || !disk_->is_running()) return true;
      for (auto& worker : workers_) {
        worker.process.output();  // whoever fills a pipe that nobody reads never ends
        if (worker.process.is_running()) continue;
        // Its last operation may be the one that the power went with.
        if (disk_->has_cut()) return true;
        if (!has_faults_ || ++restarts > kRestartsOfARound) {
          blame(worker.role + " ended by itself, see its words above");
          return true;
        }
        worker.process = start(worker.role);
      }
      return false;
    };
    if (!wait_until(is_over, kCutLimit)) blame("nothing moves: the power was to go and did not");
    if (!disk_->is_running()) blame("the disk has died");
    const auto cut = disk_->has_cut();
    for (auto& worker : workers_) worker.process.send_signal(SIGKILL);
    if (cut) disk_->remount();
    for (auto& worker : workers_) worker.process.kill_hard();
    loop_.reset();
    return cut.value_or("no cut");
  }

  void judge(const std::string& what) {
    RoleOptions options = base_;
    options.role = victim_.judge;
    options.seed = random_.below(1'000'000);
    ChildProcess judge(to_arguments(options));
    const int code = judge.finish(kJudgeLimit);
    std::istringstream lines(judge.output());
    std::string line;
    while (std::getline(lines, line)) {
      if (line.starts_with("wrong: ")) blame(line.substr(7));
      if (line.starts_with("judged ")) result_.judged += std::stoull(line.substr(7));
    }
    if (code == -1) blame("the judge came to no end");
    if (code != 0 && result_.wrong.empty()) blame("the judge ended with " + std::to_string(code));
    if (!result_.wrong.empty()) blame("(the power went " + what + ")");
  }

  const Victim& victim_;
  const std::uint64_t seed_;
  SeededRandom random_;
  CampaignResult& result_;
  TemporaryFolder mount_;
  TemporaryFolder notes_;
  std::unique_ptr<Disk> disk_;
  std::unique_ptr<LoopDevice> loop_;
  std::uint32_t sector_size_ = 512;
  RoleOptions base_;
  std::list<Worker> workers_;
  bool has_faults_ = false;
  bool after_unjudged_ = false;
  std::uint64_t failed_flushes_ = 0;
  std::uint64_t started_ = 0;
};

void tell(const CampaignResult& result, const std::string& victim, std::ostream& to) {
  to << victim << ": " << result.cuts << " cuts (" << result.recoveries_cut
     << " of them on what was left by another one), " << result.failed_flushes
     << " failed flushes, " << result.judged << " acknowledgements judged" << std::endl;
}

}  // namespace

std::vector<std::string> victim_names() {
  std::vector<std::string> names;
  for (const auto& victim : victims()) names.push_back(victim.name);
  return names;
}

CampaignResult run_campaign(const CampaignOptions& options, std::ostream& progress) {
  const auto victim = std::find_if(victims().begin(), victims().end(),
                                   [&](const Victim& each) { return each.name == options.victim; });
  CampaignResult result;
  if (victim == victims().end()) {
    result.wrong.push_back("no victim is called " + options.victim);
    return result;
  }
  const auto end = std::chrono::steady_clock::now() + options.limit;
  auto told = kProgressEvery;
  for (auto seed = options.seed; result.cuts < options.rounds; ++seed) {
    Life life(*victim, seed, result);
    if (!life.prepare()) {
      progress << "no loop devices here" << std::endl;
      return result;
    }
    for (std::uint64_t i = 1; i <= kRoundsPerLife && result.cuts < options.rounds; ++i) {
      if (std::chrono::steady_clock::now() > end) return result;
      life.round(i == kRoundsPerLife || result.cuts + 1 == options.rounds);
      if (result.wrong.empty()) continue;
      result.repeat = "powercut_test --victim " + options.victim + " --seed " +
                      std::to_string(seed) + " --rounds " + std::to_string(kRoundsPerLife);
      result.wrong.push_back("in round " + std::to_string(i) + " of the life with seed " +
                             std::to_string(seed) + "; kept in " + life.keep());
      return result;
    }
    if (result.cuts >= told) {
      tell(result, options.victim, progress);
      told += kProgressEvery;
    }
  }
  return result;
}

std::optional<int> run_by_hand(const std::vector<std::string>& arguments) {
  CampaignOptions options;
  options.rounds = 1000;
  options.seed = system_random().below(1'000'000'000);
  for (std::size_t i = 0; i + 1 < arguments.size(); i += 2) {
    if (arguments[i] == "--victim") options.victim = arguments[i + 1];
    if (arguments[i] == "--rounds") options.rounds = std::stoull(arguments[i + 1]);
    if (arguments[i] == "--seed") options.seed = std::stoull(arguments[i + 1]);
  }
  if (options.victim.empty()) return std::nullopt;
  if (const auto obstacle = powercut_obstacle()) {
    std::cerr << "cannot be done here: " << *obstacle << std::endl;
    return 77;
  }
  std::cout << options.rounds << " cuts, --victim " << options.victim << " --seed " << options.seed
            << std::endl;
  const auto result = run_campaign(options, std::cout);
  tell(result, options.victim, std::cout);
  for (std::size_t i = 0; i < result.wrong.size(); ++i) {
    if (i < kShown || i + 2 >= result.wrong.size()) std::cout << result.wrong[i] << std::endl;
  }
  if (result.wrong.empty()) return 0;
  std::cout << "again: " << result.repeat << std::endl;
  return 1;
}

}  // namespace semper::testing
