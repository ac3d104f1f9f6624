// Descriptors that are no standard stream.
#pragma once

namespace semper::internal {

// The same open file under a number above those of the standard streams; closes `descriptor`. An
// error of open(2), -1, is passed on. -1 with errno where there is no free number.
int above_standard_streams(int descriptor);

}  // namespace semper::internal
