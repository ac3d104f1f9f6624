#include "semper/store/directory.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "store/high_contention_allocator.h"

namespace semper {
namespace {

// The layout of FoundationDB's directory layer, version 1.0.0. A node is the subspace of its
// directory's prefix under the node prefix:
//
//   (prefix, 0, name) -> the prefix of the directory of that name under it
//   (prefix, b"layer") -> its layer
//
// The root is the node whose prefix is the node prefix itself; it also keeps b"version" and b"hca".
constexpr std::int64_t children_element = 0;
constexpr std::uint32_t version_major = 1;
constexpr std::uint32_t version_minor = 0;
constexpr std::uint32_t version_patch = 0;
constexpr std::size_t version_bytes = 12;
constexpr std::string_view partition_layer = "partition";

// Prefixes that turn out to hold keys of something else are skipped, at most this many in a row.
constexpr int occupied_maximum = 16;

ByteString layer_element() {
  return {"layer"};
}
ByteString version_element() {
  return {"version"};
}
ByteString allocator_element() {
  return {"hca"};
}

Error about(const DirectoryPath& path, ErrorKind kind, const std::string& what) {
  return Error(kind, "directory " + directory_path_text(path) + ": " + what);
}

Error missing(const DirectoryPath& path) {
  return about(path, ErrorKind::not_found, "there is none; create it, or list its parent");
}

Status check_names(const DirectoryPath& path) {
  if (path.size() > kDirectoryDepthMaximum) {
    return fail(ErrorKind::invalid_argument, "a directory path has at most " +
                                                 std::to_string(kDirectoryDepthMaximum) +
                                                 " names, not " + std::to_string(path.size()));
  }
  for (const std::string& name : path) {
    if (name.empty()) {
      return fail(about(path, ErrorKind::invalid_argument, "a name in the path is empty"));
    }
    if (!is_utf8(name)) {
      return fail(about(path, ErrorKind::invalid_argument,
                        "the name " + to_printable(name) + " is not UTF-8"));
    }
  }
  return {};
}

Status check_below_root(const DirectoryPath& path) {
  if (path.empty()) {
    return fail(about(path, ErrorKind::invalid_argument,
                      "the root has no keys of its own and cannot be created, opened, moved or "
                      "removed; name a directory under it"));
  }
  return check_names(path);
}

Status check_layer(const DirectoryPath& path, const Bytes& wanted) {
  if (wanted != partition_layer) return {};
  return fail(about(path, ErrorKind::unsupported,
                    "partitions are not supported; use another layer, and a DirectoryLayer with "
                    "prefixes of its own for a separate tree"));
}

Bytes encode_version() {
  Bytes version;
  append_little_endian_u32(version, version_major);
  append_little_endian_u32(version, version_minor);
  append_little_endian_u32(version, version_patch);
  return version;
}

}  // namespace

std::string directory_path_text(const DirectoryPath& path) {
  if (path.empty()) return "/";
  std::string text;
  for (const std::string& name : path) {
    if (!text.empty()) text += '/';
    text += to_printable(name);
  }
  return text;
}

struct DirectoryLayer::Node {
  Bytes entry;                  // the key in its parent that says its prefix; of the root: none
  std::optional<Bytes> prefix;  // nothing: it does not exist
  Bytes layer;
  std::size_t depth = 0;  // names of the path that were followed to an existing node

  bool exists() const { return prefix.has_value(); }
  Directory directory(DirectoryPath path) const {
    return {std::move(path), layer, Subspace::from_prefix(*prefix)};
  }
};

DirectoryLayer::DirectoryLayer(Env env, DirectoryLayerOptions options)
    : random_(env.random),
      nodes_(Subspace::from_prefix(std::move(options.node_prefix))),
      root_(node_of(nodes_.prefix())),
      content_prefix_(std::move(options.content_prefix)) {}

Subspace DirectoryLayer::node_of(BytesView prefix) const {
  return nodes_[ByteString{Bytes(prefix)}];
}

Async<void> DirectoryLayer::check_version(Transaction& transaction) const {
  const Bytes key = root_[version_element()].prefix();
  SEMPER_CO_TRY(const auto version, co_await transaction.get(key));
  if (!version) co_return Status{};
  if (version->size() != version_bytes) {
    co_return fail(ErrorKind::corrupt,
                   "the version of the directories has " + std::to_string(version->size()) +
                       " bytes instead of 12; inspect the key " + to_printable(key));
  }
  const auto major = load_little_endian_u32(*version);
  const auto minor = load_little_endian_u32(BytesView(*version).substr(4));
  if (major != version_major || minor > version_minor) {
    co_return fail(ErrorKind::unsupported, "the directories of this store are of version " +
                                               std::to_string(major) + "." + std::to_string(minor) +
                                               ", this program knows 1.0; use a newer one");
  }
  co_return Status{};
}

Async<DirectoryLayer::Node> DirectoryLayer::step(Transaction& transaction, Node parent,
                                                 std::string name) const {
  Node node;
  node.entry = node_of(*parent.prefix)[children_element][name].prefix();
  SEMPER_CO_TRY(node.prefix, co_await transaction.get(node.entry));
  node.depth = parent.depth;
  if (!node.exists()) co_return node;
  ++node.depth;
  if (!prefix_end(*node.prefix)) {  // removing it would clear what is not its own
    co_return fail(ErrorKind::corrupt,
                   "a directory has the prefix \"" + to_printable(*node.prefix) +
                       "\", which none can have; inspect the key " + to_printable(node.entry));
  }
  const Bytes layer_key = node_of(*node.prefix)[layer_element()].prefix();
  SEMPER_CO_TRY(auto layer, co_await transaction.get(layer_key));
  if (layer) node.layer = std::move(*layer);
  co_return node;
}

Async<DirectoryLayer::Node> DirectoryLayer::find(Transaction& transaction,
                                                 DirectoryPath path) const {
  Node node;
  node.prefix = nodes_.prefix();
  for (const std::string& name : path) {
    SEMPER_CO_TRY(node, co_await step(transaction, std::move(node), name));
    if (!node.exists()) break;
    SEMPER_CO_TRY_STATUS(check_layer(path, node.layer));
  }
  co_return node;
}

Async<Directory> DirectoryLayer::create(Transaction& transaction, DirectoryPath path,
                                        Bytes layer) const {
  SEMPER_CO_TRY_STATUS(check_below_root(path));
  SEMPER_CO_TRY_STATUS(check_layer(path, layer));
  SEMPER_CO_TRY_STATUS(co_await check_version(transaction));
  SEMPER_CO_TRY(const auto node, co_await find(transaction, path));
  if (node.exists()) {
    co_return fail(about(path, ErrorKind::already_exists,
                         "it exists already; open it, or create another name"));
  }
  co_return co_await make_missing(transaction, std::move(path), std::move(layer));
}

Async<Directory> DirectoryLayer::open(Transaction& transaction, DirectoryPath path,
                                      Bytes layer) const {
  SEMPER_CO_TRY_STATUS(check_below_root(path));
  SEMPER_CO_TRY_STATUS(co_await check_version(transaction));
  SEMPER_CO_TRY(const auto node, co_await find(transaction, path));
  if (!node.exists()) co_return fail(missing(path));
  if (!layer.empty() && node.layer != layer) {
    co_return fail(about(path, ErrorKind::invalid_argument,
                         "its layer is \"" + to_printable(node.layer) + "\", not \"" +
                             to_printable(layer) +
                             "\"; what is in it was written by another kind of program"));
  }
  co_return node.directory(std::move(path));
}

Async<Directory> DirectoryLayer::create_or_open(Transaction& transaction, DirectoryPath path,
                                                Bytes layer) const {
  SEMPER_CO_TRY_STATUS(check_layer(path, layer));
  auto opened = co_await open(transaction, path, layer);
  if (opened || opened.error().kind() != ErrorKind::not_found) co_return opened;
  co_return co_await make_missing(transaction, std::move(path), std::move(layer));
}

Async<bool> DirectoryLayer::exists(Transaction& transaction, DirectoryPath path) const {
  SEMPER_CO_TRY_STATUS(check_names(path));
  SEMPER_CO_TRY_STATUS(co_await check_version(transaction));
  SEMPER_CO_TRY(const auto node, co_await find(transaction, std::move(path)));
  co_return node.exists();
}

Async<std::vector<std::string>> DirectoryLayer::list(Transaction& transaction,
                                                     DirectoryPath path) const {
  SEMPER_CO_TRY_STATUS(check_names(path));
  SEMPER_CO_TRY_STATUS(co_await check_version(transaction));
  SEMPER_CO_TRY(const auto node, co_await find(transaction, path));
  if (!node.exists()) co_return fail(missing(path));
  const Subspace entries = node_of(*node.prefix)[children_element];
  SEMPER_CO_TRY(const auto rows, co_await children(transaction, *node.prefix));
  std::vector<std::string> names;
  names.reserve(rows.size());
  for (const KeyValue& row : rows) {
    SEMPER_CO_TRY(const auto tuple, entries.unpack(row.key));
    SEMPER_CO_TRY(auto name, tuple.get<std::string>(0));
    names.push_back(std::move(name));
  }
  co_return names;
}

Async<Directory> DirectoryLayer::move(Transaction& transaction, DirectoryMove move) const {
  SEMPER_CO_TRY_STATUS(check_below_root(move.from));
  SEMPER_CO_TRY_STATUS(check_below_root(move.to));
  const bool is_inside = move.to.size() >= move.from.size() &&
                         std::equal(move.from.begin(), move.from.end(), move.to.begin());
  if (is_inside) {
    co_return fail(about(
        move.from, ErrorKind::invalid_argument,
        "it cannot be moved to " + directory_path_text(move.to) + ", which is itself or under it"));
  }
  SEMPER_CO_TRY_STATUS(co_await check_version(transaction));
  SEMPER_CO_TRY(const auto source, co_await find(transaction, move.from));
  if (!source.exists()) co_return fail(missing(move.from));
  SEMPER_CO_TRY(const auto target, co_await find(transaction, move.to));
  if (target.exists()) {
    co_return fail(about(move.to, ErrorKind::already_exists, "it already exists; remove it first"));
  }
  if (target.depth + 1 != move.to.size()) {
    DirectoryPath parent(move.to.begin(), std::prev(move.to.end()));
    co_return fail(
        about(move.to, ErrorKind::not_found,
              "its parent " + directory_path_text(parent) + " does not exist; create that first"));
  }
  transaction.clear(source.entry);
  transaction.set(target.entry, *source.prefix);
  co_return source.directory(std::move(move.to));
}

Async<void> DirectoryLayer::remove(Transaction& transaction, DirectoryPath path) const {
  SEMPER_CO_TRY(const bool existed, co_await remove_if_exists(transaction, path));
  if (!existed) co_return fail(missing(path));
  co_return Status{};
}

Async<bool> DirectoryLayer::remove_if_exists(Transaction& transaction, DirectoryPath path) const {
  SEMPER_CO_TRY_STATUS(check_below_root(path));
  SEMPER_CO_TRY_STATUS(co_await check_version(transaction));
  SEMPER_CO_TRY(const auto node, co_await find(transaction, path));
  if (!node.exists()) co_return false;
  transaction.clear(node.entry);
  auto removed = co_await remove_tree(transaction, *node.prefix);
  if (!removed) co_return fail(removed.error().in("directory " + directory_path_text(path)));
  co_return true;
}

Async<std::vector<KeyValue>> DirectoryLayer::children(Transaction& transaction,
                                                      Bytes prefix) const {
  std::vector<KeyValue> rows;
  KeyRange rest = node_of(prefix)[children_element].range();
  while (true) {
    SEMPER_CO_TRY(auto page, co_await transaction.get_range(rest));
    for (KeyValue& row : page.rows) rows.push_back(std::move(row));
    if (!page.more || rows.empty()) co_return rows;
    rest.begin = key_after(rows.back().key);
  }
}

Async<void> DirectoryLayer::remove_tree(Transaction& transaction, Bytes prefix) const {
  std::vector<Bytes> pending;
  pending.push_back(std::move(prefix));
  while (!pending.empty()) {
    const Bytes next = std::move(pending.back());
    pending.pop_back();
    SEMPER_CO_TRY(auto rows, co_await children(transaction, next));
    for (KeyValue& row : rows) pending.push_back(std::move(row.value));
    const auto contents = prefix_range(next);
    if (!contents) {
      co_return fail(ErrorKind::corrupt, "a directory under it has the prefix \"" +
                                             to_printable(next) + "\", which none can have");
    }
    transaction.clear_range(*contents);
    transaction.clear_range(node_of(next).range());
    // A node that was seen is empty from then on, so this ends even where damaged ones form a
    // circle.
    const std::size_t limit = transaction.limits().transaction_operations;
    if (transaction.operation_count() + pending.size() > limit) {
      co_return fail(ErrorKind::exhausted, Limit{"transaction_operations", limit},
                     "it holds more directories than one transaction can remove (" +
                         std::to_string(limit) + " operations); remove those under it first");
    }
  }
  co_return Status{};
}

Async<Directory> DirectoryLayer::make_missing(Transaction& transaction, DirectoryPath path,
                                              Bytes layer) const {
  const Bytes version_key = root_[version_element()].prefix();
  SEMPER_CO_TRY(const auto version, co_await transaction.get(version_key));
  // Everybody reads it: written once, or all would be in each other's way.
  if (!version) transaction.set(version_key, encode_version());
  Node node;
  node.prefix = nodes_.prefix();
  for (std::size_t i = 0; i < path.size(); ++i) {
    SEMPER_CO_TRY(node, co_await step(transaction, std::move(node), path[i]));
    if (node.exists()) continue;
    Bytes own_layer;
    if (i + 1 == path.size()) own_layer = layer;
    SEMPER_CO_TRY(node, co_await make(transaction, node.entry, std::move(own_layer)));
  }
  co_return node.directory(std::move(path));
}

Async<DirectoryLayer::Node> DirectoryLayer::make(Transaction& transaction, Bytes entry,
                                                 Bytes layer) const {
  Node node;
  SEMPER_CO_TRY(node.prefix, co_await allocate_prefix(transaction));
  node.entry = std::move(entry);
  node.layer = std::move(layer);
  transaction.set(node.entry, *node.prefix);
  transaction.set(node_of(*node.prefix)[layer_element()].prefix(), node.layer);
  co_return node;
}

Async<Bytes> DirectoryLayer::allocate_prefix(Transaction& transaction) const {
  const internal::HighContentionAllocator allocator(root_[allocator_element()], *random_);
  for (int occupied = 0; occupied < occupied_maximum; ++occupied) {
    SEMPER_CO_TRY(const auto number, co_await allocator.allocate(transaction));
    Bytes prefix = Subspace::from_prefix(content_prefix_)[number].prefix();
    SEMPER_CO_TRY(const bool free, co_await is_free(transaction, prefix));
    if (free) co_return prefix;
  }
  co_return fail(ErrorKind::exhausted,
                 std::to_string(occupied_maximum) +
                     " prefixes in a row that the allocator chose for a directory hold keys "
                     "already; keep other keys away from integers, or give the directories a "
                     "content_prefix");
}

// Nothing is stored under it, and no directory's prefix begins with it or is its beginning.
Async<bool> DirectoryLayer::is_free(Transaction& transaction, Bytes prefix) const {
  constexpr RangeOptions any_key{.limit = 1};
  const auto keys = prefix_range(prefix);
  if (!keys) co_return false;
  SEMPER_CO_TRY(const auto stored, co_await transaction.get_range(*keys, any_key));
  if (!stored.rows.empty()) co_return false;

  constexpr RangeOptions last{.limit = 1, .order = Order::descending, .mode = ReadMode::snapshot};
  const KeyRange before{nodes_.range().begin, key_after(node_of(prefix).prefix())};
  SEMPER_CO_TRY(const auto neighbour, co_await transaction.get_range(before, last));
  if (!neighbour.rows.empty()) {
    SEMPER_CO_TRY(const auto key, nodes_.unpack(neighbour.rows.front().key));
    SEMPER_CO_TRY(const auto other, key.get<ByteString>(0));
    if (prefix.starts_with(other.bytes)) co_return false;
  }
  const KeyRange within{node_of(prefix).prefix(), node_of(keys->end).prefix()};
  SEMPER_CO_TRY(const auto inside, co_await transaction.get_range(within, last));
  co_return inside.rows.empty();
}

}  // namespace semper
