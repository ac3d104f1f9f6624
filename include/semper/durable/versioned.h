// Versioned: streams to servers that speak older or newer versions of the same updates.
//
// What for: a client that must work while servers are upgraded one by one. When not: formats that
// can grow compatibly (protobuf fields); one dispatch function is enough for them.
//
//   using Prices = semper::stream::Versioned<Table, Row>;             // what the reader gets
//   Prices prices([&]() { return ask_for_versions(); });              // the other side's menu
//   prices.add(1, subscribe_v1, from_row_v1, from_table_v1);
//   prices.add(2, subscribe_v2, from_row_v2, from_table_v2);
//   auto stream = Prices::Stream::create(executor, prices);           // updates are Result<Row>
//
// Each attempt asks for the menu of versions again, and dispatches the highest version that both
// sides have. If there is none in common, the event is a FailedToConnect of kind `unsupported` that
// names both sides' versions, and the attempt is repeated, because servers are upgraded and rolled
// back. (To end there, let StreamOptions::is_permanent say so.) If asking for the menu fails, that
// is a FailedToConnect or an RpcError, depending on its kind (stream::failed_by_kind). If an update
// cannot be converted, its error is delivered in its place; if a state cannot be converted, that is
// an RpcError of the attempt.
//
// Over a durable value, Versioned<Table, Row, Metadata, Channel> takes functions with a Channel& as
// their first argument, and `Stream::create(executor, channel, prices)` provides it: menu and
// dispatch use the same channel.
//
// Threads: add everything before the first use; after that the functions run on the streams'
// strands. Idea: Versioned_rpc's menus and Caller_converts (Jane Street).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "semper/base/assert.h"
#include "semper/durable/internal/versioned_source.h"
#include "semper/durable/stream.h"

namespace semper::stream {

using Version = std::uint32_t;

// Error: unsupported, naming what each side has.
Result<Version> highest_common_version(const std::vector<Version>& ours,
                                       const std::vector<Version>& theirs);

template <class S, class Update, class Metadata = NoMetadata, class... On>
class Versioned {
 public:
  using Stream = BasicStream<S, Result<Update>, Metadata>;
  using Connection = typename Stream::Connection;
  using Dispatched = typename Stream::Dispatched;
  using Menu = std::function<Async<std::vector<Version>>(On&...)>;

  explicit Versioned(Menu menu) : table_(std::make_shared<Table>()) {
    table_->menu = std::move(menu);
  }

  // `dispatch` takes (On&..., DispatchRequest) and returns Async or Task<Dispatched> of a
  // Connection with this version's own types and our Metadata. The conversions return the reader's
  // type, or a Result of it. Add each version once (asserted).
  template <class F, class ConvertUpdate, class ConvertState>
  Versioned& add(Version version, F dispatch, ConvertUpdate update, ConvertState state) {
    using Wire = typename semper::internal::WireConnection<
        std::invoke_result_t<F&, On&..., DispatchRequest>>::Type;
    auto entry = std::make_shared<Entry<Wire, F, ConvertUpdate, ConvertState>>(
        std::move(dispatch), std::move(update), std::move(state));
    const bool added = table_->entries
                           .emplace(version,
                                    [entry](On&... on, DispatchRequest request) {
                                      return dispatch_entry<Wire>(entry, on..., std::move(request));
                                    })
                           .second;
    SEMPER_ASSERT(added, "each version has one dispatch function");
    return *this;
  }
  // Of a PipeStream.
  template <class F, class ConvertUpdate>
  Versioned& add(Version version, F dispatch, ConvertUpdate update) {
    static_assert(!Stream::kHasState, "a StateStream needs a conversion of its state too");
    return add(version, std::move(dispatch), std::move(update), [](NoState none) { return none; });
  }

  // The dispatch function.
  Task<Dispatched> operator()(On&... on, DispatchRequest request) const {
    return choose(table_, on..., std::move(request));
  }

 private:
  struct Table {
    Menu menu;
    std::map<Version, std::function<Task<Dispatched>(On&..., DispatchRequest)>> entries;
  };
  template <class Wire, class F, class ConvertUpdate, class ConvertState>
  struct Entry {
    Entry(F f, ConvertUpdate u, ConvertState s)
        : dispatch(std::move(f)),
          update(std::make_shared<ConvertUpdate>(std::move(u))),
          state(std::move(s)) {}
    F dispatch;
    std::shared_ptr<ConvertUpdate> update;
    ConvertState state;
  };

  static Task<Dispatched> choose(std::shared_ptr<const Table> table, On&... on,
                                 DispatchRequest request) {
    auto theirs = co_await table->menu(on...);
    if (!theirs) co_return failed_by_kind(theirs.error().in("the menu of versions"));
    std::vector<Version> ours;
    for (const auto& [version, entry] : table->entries) ours.push_back(version);
    const auto version = highest_common_version(ours, *theirs);
    if (!version) co_return failed_to_connect(version.error());
    const auto& dispatch = table->entries.at(*version);
    co_return co_await dispatch(on..., std::move(request));
  }

  template <class Wire, class E>
  static Task<Dispatched> dispatch_entry(std::shared_ptr<E> entry, On&... on,
                                         DispatchRequest request) {
    auto answer = co_await entry->dispatch(on..., std::move(request));
    if (!answer) {
      if constexpr (std::is_same_v<decltype(answer), Result<Wire>>) {
        co_return failed_by_kind(answer.error());
      } else {
        co_return tl::unexpected<DispatchFailure>(answer.error());
      }
    }
    co_return convert<Wire>(std::move(*answer), *entry);
  }

  template <class Wire, class E>
  static Dispatched convert(Wire wire, E& entry) {
    std::optional<S> state;
    if (wire.state) {
      auto changed = semper::internal::converted<S>(entry.state, std::move(*wire.state));
      if (!changed) return rpc_error(changed.error().in("the state"));
      state.emplace(std::move(*changed));
    }
    Connection connection(convert_source(std::move(wire.updates), entry.update),
                          std::move(wire.metadata), std::move(state));
    connection.start_token = std::move(wire.start_token);
    connection.continuity = wire.continuity;
    return connection;
  }

  template <class From, class F>
  static std::unique_ptr<UpdateSource<Result<Update>>> convert_source(
      std::unique_ptr<UpdateSource<From>> source, std::shared_ptr<F> change) {
    if (!source) return nullptr;
    return std::make_unique<semper::internal::ConvertingSource<From, Update, F>>(std::move(source),
                                                                                 std::move(change));
  }

  std::shared_ptr<Table> table_;
};

}  // namespace semper::stream
