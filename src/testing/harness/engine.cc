// What a Harness does, without the types of its user: the run that it is in, and what all runs
// share.
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <utility>

#include "semper/base/internal/thrown.h"
#include "semper/server/recording.h"
#include "semper/testing/internal/harness_engine.h"
#include "testing/harness/enumeration.h"
#include "testing/harness/world.h"

namespace semper::testing::internal {

struct HarnessEngine::Impl {
  explicit Impl(HarnessOptions wanted) : options(std::move(wanted)) {
    if (options.paths.empty()) options.paths = HarnessOptions().paths;
  }

  // Of the run that explore() makes, or of the test itself.
  HarnessWorld& world() {
    if (!present) make(HarnessPlan{options.paths.front(), HarnessFault::none, 0});
    return *present;
  }
  void make(HarnessPlan plan) {
    present.reset();
    for (const auto& hook : hooks) hook();
    present = std::make_unique<HarnessWorld>(options, types, plan);
    present->arm();
    for (const auto& recording : recordings) {
      const Status loaded = present->load(recording);
      if (!loaded) present->finding(loaded.error().to_string());
    }
  }

  HarnessOptions options;
  std::vector<HarnessType> types;
  std::vector<std::pair<std::string, std::function<Status(Harness&)>>> checks;
  std::vector<std::function<void()>> hooks;
  std::vector<Recording> recordings;  // of every run
  std::string only;
  bool explores = false;
  std::unique_ptr<HarnessWorld> present;
};

HarnessEngine::HarnessEngine(HarnessOptions options)
    : impl_(std::make_unique<Impl>(std::move(options))) {}
HarnessEngine::~HarnessEngine() = default;

void HarnessEngine::add_type(HarnessType type) {
  if (impl_->present) {
    throw std::logic_error("Harness: serve " + type.name + " before anything is sent");
  }
  for (const auto& known : impl_->types) {
    if (known.name == type.name) throw std::logic_error("Harness: " + type.name + " is served");
  }
  impl_->types.push_back(std::move(type));
}

void HarnessEngine::add_invariant(std::string_view type,
                                  std::function<Status(const void* state)> holds) {
  for (auto& known : impl_->types) {
    if (known.name != type) continue;
    known.invariants.push_back(std::move(holds));
    return;
  }
  throw std::logic_error("Harness: an invariant of " + std::string(type) +
                         ", which is not served; call serve() first");
}

void HarnessEngine::add_check(std::string name, std::function<Status(Harness&)> holds) {
  impl_->checks.emplace_back(std::move(name), std::move(holds));
}

void HarnessEngine::before_each(std::function<void()> hook) {
  impl_->hooks.push_back(std::move(hook));
}

void HarnessEngine::only(std::string run) {
  impl_->only = std::move(run);
}

HarnessReport HarnessEngine::explore(Harness& harness, const std::function<void()>& scenario) {
  if (impl_->explores) throw std::logic_error("Harness: explore() inside explore()");
  impl_->explores = true;
  HarnessEnumeration enumeration(impl_->options, impl_->only);
  const auto run = [&](HarnessPlan plan) -> HarnessWorld& {
    impl_->make(plan);
    HarnessWorld& world = *impl_->present;
    try {
      scenario();
      const Status rest = world.settle();
      world.disarm();
      if (!rest) world.finding(rest.error().message());
      world.judge();
      for (const auto& [name, holds] : impl_->checks) {
        const Status held = holds(harness);
        if (!held) world.finding("check \"" + name + "\": " + held.error().message());
      }
    } catch (const std::exception& thrown) {
      world.finding(std::string("the scenario threw: ") + semper::internal::text_of(thrown));
    }
    return world;
  };
  HarnessReport report;
  try {
    report = enumeration.make_all(run);
  } catch (...) {
    impl_->explores = false;
    throw;
  }
  impl_->explores = false;
  impl_->present.reset();
  return report;
}

std::shared_ptr<HarnessOperation> HarnessEngine::begin(std::string what, const HarnessWork& work,
                                                       HarnessPlace place) {
  return impl_->world().begin(std::move(what), work, place);
}
Status HarnessEngine::wait(HarnessOperation& operation) {
  return impl_->world().wait(operation);
}
void HarnessEngine::note(const std::string& line) {
  impl_->world().note("test", line);
}
Tenant HarnessEngine::tenant() {
  return impl_->world().tenant();
}
void HarnessEngine::look(Task<void> looking) {
  impl_->world().look(std::move(looking));
}
void HarnessEngine::advance(Duration span) {
  impl_->world().note("test", "time passes");
  impl_->world().advance(span);
}
Status HarnessEngine::settle() {
  return impl_->world().settle();
}
void HarnessEngine::crash() {
  impl_->world().crash();
}
WallTime HarnessEngine::now() {
  return impl_->world().clock().wall_time();
}

Status HarnessEngine::load(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) {
    return fail(ErrorKind::not_found,
                file + " cannot be read; `semper record TYPE/ID --output " + file + "` makes it");
  }
  const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  auto recording = recording_from_text(text);
  if (!recording) return fail(recording.error().in(file));
  if (impl_->explores || impl_->present) return impl_->world().load(*recording);
  impl_->recordings.push_back(std::move(*recording));
  return {};
}

const std::vector<HarnessSent>& HarnessEngine::sent() {
  return impl_->world().sent();
}
const std::vector<std::string>& HarnessEngine::actions() {
  return impl_->world().actions();
}
void HarnessEngine::happened(const std::string& what) {
  impl_->world().happened(what);
}
std::size_t HarnessEngine::times(const std::string& what) {
  return impl_->world().times(what);
}
std::vector<std::string> HarnessEngine::history() {
  return impl_->world().history();
}

}  // namespace semper::testing::internal
