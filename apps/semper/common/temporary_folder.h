// TemporaryFolder: for what a bench measures on, removed with all it holds.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "semper/base/result.h"

namespace semper::cli {

class TemporaryFolder {
 public:
  // A new folder in `parent`; empty: TMPDIR, else /var/tmp. Errors: not_found, permission, io.
  static Result<std::unique_ptr<TemporaryFolder>> make(std::string parent);
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::string& path() const { return path_; }

 private:
  explicit TemporaryFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace semper::cli
