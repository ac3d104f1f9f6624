// Messages that are made of their parts within the call, which is safe inside a co_await: with
// strings, for a compiler that destroys such a message twice destroys these.
#include <gtest/gtest.h>

#include <string>

#include "semper/env/scheduler.h"
#include "semper/open_store.h"
#include "semper/server/host.h"
#include "semper/server/ref.h"

namespace semper {
namespace {

constexpr const char* kLong = "a text that is too long to lie within the string itself";

struct SignedDiary {
  using State = std::string;
  struct Note {
    std::string text;
    std::string signature = "nobody";
    using Reply = std::string;
  };
  struct Read {
    using Reply = std::string;
  };
  using Messages = semper::Messages<Note, Read>;
  Result<State> init(const EntityId&) { return std::string(); }
  Reply<std::string> handle_call(const Note& m, State& s, Context&) {
    return s += m.text + "/" + m.signature + ";";
  }
  Reply<std::string> handle_call(const Read&, State& s, Context&) { return s; }
  void handle_cast(const Note& m, State& s, Context&) { s += m.text + "/" + m.signature + ";"; }
  void handle_info(const Note& m, State&, Context&) { heard = m.text; }
  static inline std::string heard;
};

Async<std::string> write(Ref<SignedDiary> diary) {
  SEMPER_CO_TRY_STATUS(co_await diary.cast<SignedDiary::Note>(kLong));
  SEMPER_CO_TRY(const std::string first,
                co_await diary.call<SignedDiary::Note>(kLong, std::string("me")));
  SEMPER_CO_TRY(const std::string second, co_await diary.call<SignedDiary::Note>(
                                              CallOptions{std::chrono::seconds(60)}, kLong));
  if (!second.starts_with(first)) co_return fail(ErrorKind::internal, second);
  SEMPER_CO_TRY_STATUS(co_await diary.priority_cast<SignedDiary::Note>("p"));
  SEMPER_CO_TRY_STATUS(co_await diary.info<SignedDiary::Note>(kLong));
  auto batch = Batch<SignedDiary>().add<SignedDiary::Note>("b").add<SignedDiary::Note>("c", "d");
  SEMPER_CO_TRY_STATUS(co_await diary.cast(std::move(batch)));
  co_return co_await diary.call<SignedDiary::Read>();
}

TEST(MessageParts, a_message_of_strings_is_made_within_the_call) {
  Scheduler scheduler;
  auto store = scheduler.block_on(open_store("memory:message-parts"));
  ASSERT_TRUE(store);
  Host host(*store);
  host.serve<SignedDiary>();
  ASSERT_TRUE(scheduler.block_on(host.start()));
  const auto text = scheduler.block_on(write(ref<SignedDiary>(*store, "x")));
  ASSERT_TRUE(text) << text.error().to_string();
  const std::string note = std::string(kLong) + "/nobody;";
  EXPECT_EQ(*text, note + kLong + "/me;" + note + "p/nobody;b/nobody;c/d;");
  EXPECT_EQ(SignedDiary::heard, kLong);
  EXPECT_TRUE(scheduler.block_on(host.stop()));
}

template <class M, class... Parts>
concept CanCall = requires(const Ref<SignedDiary>& diary, Parts... parts) {
  diary.call<M>(parts...);
};
static_assert(CanCall<SignedDiary::Note, const char*>);
static_assert(!CanCall<SignedDiary::Note, int>);
static_assert(!CanCall<SignedDiary::Read, int>);
static_assert(!CanCall<std::string, const char*>);

}  // namespace
}  // namespace semper
