// DirectoryLayer: named places in a store, each with a short key prefix of its own.
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
// A directory is a path of names, a layer (a tag saying what program keeps what there) and a prefix
// of a few bytes. The prefix never changes: moving a directory renames it and touches none of its
// keys. Keep what open() gave as long as you like; a program that still holds a directory which
// somebody removed writes where nobody reads, so decide who may remove.
//
// The keys are those of FoundationDB's directory layer: nodes under 0xfe, prefixes by its
// high-contention allocator, so its tools can list what is made here. Not taken over: manual
// prefixes and partitions (layer "partition" gives `unsupported`).
//
// Everything happens in the caller's transaction: durable, or in doubt, exactly as its commit.
// Creating beside others does not conflict except on the same name; opening conflicts with the
// directory being moved or removed. Errors besides those named below: what Transaction's reads
// give; unsupported (made by a newer version), corrupt (a node that cannot be read).
// invalid_argument, not_found and already_exists come before any write; after any other error do
// not commit.
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
  Subspace contents;  // where its keys go

  friend bool operator==(const Directory&, const Directory&) = default;
};

struct DirectoryLayerOptions {
  // Where the names are kept. Default: FoundationDB's. Change both to keep a second, separate tree.
  Bytes node_prefix = "\xfe";
  // In front of every allocated prefix. Default: nothing. Change it where keys outside of any
  // directory begin with integers of tuples.
  Bytes content_prefix;
};

struct DirectoryMove {
  DirectoryPath from;
  DirectoryPath to;
};

class DirectoryLayer {
 public:
  explicit DirectoryLayer(Env env, DirectoryLayerOptions options = {});

  // Every operation gives invalid_argument where a path is too deep or a name empty or no UTF-8,
  // and all but list and exists where it is the root.

  // Makes the directory and its missing parents (those without a layer). Errors: already_exists;
  // exhausted (no free prefix found: see content_prefix).
  Async<Directory> create(Transaction& transaction, DirectoryPath path, Bytes layer = {}) const;

  // Errors: not_found; invalid_argument where it has another layer than the one asked for (empty:
  // do not ask).
  Async<Directory> open(Transaction& transaction, DirectoryPath path, Bytes layer = {}) const;

  // open where it exists, else create; the errors of both but not_found and already_exists.
  Async<Directory> create_or_open(Transaction& transaction, DirectoryPath path,
                                  Bytes layer = {}) const;

  Async<bool> exists(Transaction& transaction, DirectoryPath path) const;

  // The names directly under it, in order. Error: not_found (never for the root).
  Async<std::vector<std::string>> list(Transaction& transaction, DirectoryPath path = {}) const;

  // Renames it with all that is under it. Errors: not_found (from, or the parent of to),
  // already_exists (to), invalid_argument (to is from, or under it).
  Async<Directory> move(Transaction& transaction, DirectoryMove move) const;

  // Removes it, everything under it and all their keys, at once. Errors: not_found; exhausted at
  // commit where it holds more directories than a transaction may write (remove them one by one).
  Async<void> remove(Transaction& transaction, DirectoryPath path) const;

  // The same; false where there was none.
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
