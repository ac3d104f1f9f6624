// Parts of a handle alone: what a process has done that was stopped, or looks in, in the middle.
#pragma once

#include "sidecar.h"
#include "test_place.h"
#include "writer.h"

namespace semper::sqlite {

// Beside the handles that have the store open.
inline Result<std::unique_ptr<Sidecar>> try_sidecar(const std::string& file) {
  StorePath path;
  path.file = file;
  path.directory = file.substr(0, file.rfind('/'));
  return Sidecar::open(path, [] { return Result<std::uint64_t>(0); });
}
inline std::unique_ptr<Sidecar> open_sidecar(const std::string& file) {
  auto opened = try_sidecar(file);
  EXPECT_TRUE(opened) << opened.error().to_string();
  return opened ? std::move(*opened) : nullptr;
}

// As a committer does that is stopped before it flushes and tells anybody.
inline void commit_and_say_nothing(const std::string& file, const Bytes& key, const Bytes& value) {
  SqliteOptions options;
  options.path.file = file;
  Statistics statistics;
  auto writer = Writer::open(options, statistics);
  ASSERT_TRUE(writer) << writer.error().to_string();
  (*writer)->leave_wal_on_close();
  const auto base = (*writer)->begin();
  ASSERT_TRUE(base) << base.error().to_string();
  CommitRequest request;
  request.mutations.push_back({Mutation::Type::set, key, value, 0});
  ASSERT_TRUE((*writer)->apply(request, {base->version + 1, 0}));
  ASSERT_EQ((*writer)->commit(base->version + 1, Writer::Flush::later), SQLITE_OK);
}

}  // namespace semper::sqlite
