// SqliteSnapshot: one reader of a view, with its own time limit.
//
// Reads run inline, on the calling thread.
#pragma once

#include <memory>

#include "fork_guard.h"
#include "read_pool.h"
#include "semper/store/backend.h"

namespace semper::sqlite {

inline Error too_old_error() {
  return Error(ErrorKind::timeout,
               "the transaction is older than the store's limit transaction_duration = 5 s; begin "
               "anew, and do less in one");
}

struct SnapshotLife {
  Clock* clock = nullptr;
  ForkGuard fork;
  MonotonicTime expires{};
};

class SqliteSnapshot final : public Snapshot {
 public:
  SqliteSnapshot(std::shared_ptr<ReadPool> pool, std::shared_ptr<ReadView> view, SnapshotLife life)
      : pool_(std::move(pool)), view_(std::move(view)), life_(life), version_(view_->version()) {}

  ~SqliteSnapshot() override {
    if (!life_.fork.is_foreign()) pool_->leave(view_);
  }

  Version version() const override { return version_; }

  Async<std::optional<Bytes>> get(BytesView key) override {
    SEMPER_CO_TRY_STATUS(check());
    co_return view_->with_reader([key](Reader& reader) { return reader.get(key); });
  }

  Async<RangePage> get_range(const PageRequest& request) override {
    SEMPER_CO_TRY_STATUS(check());
    co_return view_->with_reader([&](Reader& reader) { return reader.get_range(request); });
  }

  Result<Version> row_version(BytesView key) {
    SEMPER_TRY_STATUS(check());
    return view_->with_reader([key](Reader& reader) { return reader.row_version(key); });
  }

 private:
  Status check() const {
    SEMPER_TRY_STATUS(life_.fork.check("this store"));
    if (life_.clock->now() < life_.expires) return {};
    return fail(too_old_error());
  }

  std::shared_ptr<ReadPool> pool_;
  std::shared_ptr<ReadView> view_;
  SnapshotLife life_;
  Version version_;
};

}  // namespace semper::sqlite
