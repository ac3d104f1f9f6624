#include "lying_backend.h"

namespace semper::simulation {

Async<CommitReceipt> LyingBackend::commit(CommitRequest request) {
  if (lies_.lost > 0 && env_.random->chance(lies_.lost)) {
    SEMPER_CO_TRY(auto snapshot, co_await backend_->snapshot());
    SEMPER_CO_TRY_STATUS(co_await snapshot->fix_version());
    ++told_;
    CommitReceipt receipt;
    receipt.version = snapshot->version();
    co_return receipt;
  }
  const bool again = lies_.twice > 0 && env_.random->chance(lies_.twice);
  CommitRequest blind;
  if (again) blind.mutations = request.mutations;
  auto receipt = co_await backend_->commit(std::move(request));
  if (receipt && again) {
    ++told_;
    co_return co_await backend_->commit(std::move(blind));
  }
  co_return receipt;
}

}  // namespace semper::simulation
