// Reader: a read connection with its statements, and the read transaction on it.
//
// Threads: one at a time.
#pragma once

#include <memory>
#include <optional>

#include "connection.h"
#include "options.h"
#include "semper/store/backend.h"

namespace semper::sqlite {

// One page of a range holds at most about this many bytes.
inline constexpr std::size_t kPageBytesMaximum = std::size_t{1} << 20;

class Reader {
 public:
  static Result<std::unique_ptr<Reader>> open(const SqliteOptions& options);
  // By who may not write the store.
  static Result<std::unique_ptr<Reader>> open_for_reading(const SqliteOptions& options,
                                                          ConnectionOptions::Access access);

  // Opens a read transaction (ending one that is open) and returns the version that it sees.
  Result<Version> begin();
  void end();
  bool is_open() const { return open_; }

  // Within the transaction. Errors: corrupt (a row's checksum is wrong too), io.
  Result<std::optional<Bytes>> get(BytesView key);
  Result<RangePage> get_range(const PageRequest& request);
  // The version of the commit that wrote the row; 0 where there is none.
  Result<Version> row_version(BytesView key);

  // Gives memory back that only speeds up reading.
  void shrink();

 private:
  explicit Reader(Connection connection) : connection_(std::move(connection)) {}
  Status prepare();
  Status verify(BytesView key, BytesView value, int first_column, Statement& row) const;

  Connection connection_;
  Statement begin_;
  Statement end_;
  Statement version_;
  Statement get_;
  Statement ascending_;
  Statement descending_;
  Statement row_version_;
  bool open_ = false;
};

}  // namespace semper::sqlite
