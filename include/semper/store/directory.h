// DirectoryLayer: named places in a store, each with its own short key prefix.
//
// What for: tenants, and anything else that is created, listed, moved and removed at run time. When
// not: a fixed set of kinds of data; name those with a Subspace, which needs no reads.
//
//   semper::DirectoryLayer directories(env);
//   auto users = co_await store.transact([&](semper::Transaction& tx) {
//     return directories.create_or_open(tx, {"tenants", "ann", "users"});
//   });
//   tx.set(users->contents.pack({42, "name"}), "Ann");
//
// A directory is a path of names, a layer (a tag that says which program keeps what there) and a
// prefix of a few bytes. The prefix never changes: moving a directory renames it and touches none
// of its keys. You may keep the result of open() for as long as you like. But a program that still
// holds a removed directory writes keys that nobody reads, so decide who may remove directories.
//
// The keys are those of FoundationDB's directory layer: nodes under 0xfe, prefixes by its
// high-contention allocator, so its tools can list the directories made here. Not supported are
// manual prefixes and partitions (layer "partition" gives `unsupported`).
//
// Everything happens in the caller's transaction, and is durable, or in doubt, exactly as its
// commit. Concurrent creations conflict only if they use the same name; opening conflicts with
// moving or removing the directory. Errors in addition to those below: those of Transaction's
// reads; unsupported (made by a newer version), corrupt (a node that cannot be read).
// invalid_argument, not_found and already_exists are returned before any write; after any other
// error, do not commit.
//
// Threads: any; a transaction is used by one call at a time. The layer must outlive its calls, and
// env's random the layer. Source of the idea: FoundationDB's directory layer.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "semper/env/env.h"
#include "semper/store/subspace.h"
#include "semper/store/transaction.h"

namespace semper {

// Names from the root down, UTF-8, none empty; the empty path is the root.
using DirectoryPath = std::vector<std::string>;

inline constexpr std::size_t kDirectoryDepthMaximum = 64;

// "a/b/c", for messages; the root is "/".
std::string directory_path_text(const DirectoryPath& path);

struct Directory {
  DirectoryPath path;
  Bytes layer;        // empty: none
  Subspace contents;  // where its keys are

  friend bool operator==(const Directory&, const Directory&) = default;
};

struct DirectoryLayerOptions {
  // Where the names are kept. Default: FoundationDB's place. Change both prefixes to keep a second,
  // separate tree.
  Bytes node_prefix = "\xfe";
  // Put in front of every allocated prefix. Default: nothing. Change it if keys outside any
  // directory begin with tuple integers.
  Bytes content_prefix;
};

struct DirectoryMove {
  DirectoryPath from;
  DirectoryPath to;
};

class DirectoryLayer {
 public:
  explicit DirectoryLayer(Env env, DirectoryLayerOptions options = {});

  // Every operation gives invalid_argument if a path is too deep, or a name is empty or not UTF-8.
  // So do all but list and exists if the path is the root.

  // Creates the directory and its missing parents (which get no layer). Errors: already_exists;
  // exhausted (no free prefix found: see content_prefix).
  Async<Directory> create(Transaction& transaction, DirectoryPath path, Bytes layer = {}) const;

  // Errors: not_found; invalid_argument if it has a different layer than requested (empty: any).
  Async<Directory> open(Transaction& transaction, DirectoryPath path, Bytes layer = {}) const;

  // Opens it if it exists, otherwise creates it. The errors of both, except not_found and
  // already_exists.
  Async<Directory> create_or_open(Transaction& transaction, DirectoryPath path,
                                  Bytes layer = {}) const;

  Async<bool> exists(Transaction& transaction, DirectoryPath path) const;

  // The names directly under it, in order. Error: not_found (never for the root).
  Async<std::vector<std::string>> list(Transaction& transaction, DirectoryPath path = {}) const;

  // Renames it and everything under it. Errors: not_found (from, or the parent of to),
  // already_exists (to), invalid_argument (to is from, or under it).
  Async<Directory> move(Transaction& transaction, DirectoryMove move) const;

  // Removes it, everything under it and all their keys, at once. Errors: not_found; exhausted at
  // the commit if it holds more directories than a transaction may write (remove them one by one).
  Async<void> remove(Transaction& transaction, DirectoryPath path) const;

  // The same; returns false if there was none.
  Async<bool> remove_if_exists(Transaction& transaction, DirectoryPath path) const;

 private:
  struct Node;

  Subspace node_of(BytesView prefix) const;
  Async<void> check_version(Transaction& transaction) const;
  Async<Node> find(Transaction& transaction, DirectoryPath path) const;
  Async<Node> step(Transaction& transaction, Node parent, std::string name) const;
  Async<Node> make(Transaction& transaction, Bytes entry, Bytes layer) const;
  Async<Directory> make_missing(Transaction& transaction, DirectoryPath path, Bytes layer) const;
  Async<Bytes> allocate_prefix(Transaction& transaction) const;
  Async<bool> is_free(Transaction& transaction, Bytes prefix) const;
  Async<std::vector<KeyValue>> children(Transaction& transaction, Bytes prefix) const;
  Async<void> remove_tree(Transaction& transaction, Bytes prefix) const;

  Random* random_;
  Subspace nodes_;
  Subspace root_;
  Bytes content_prefix_;
};

}  // namespace semper
