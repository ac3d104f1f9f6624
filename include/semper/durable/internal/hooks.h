// Hooks: what is done with an exception out of a user's function that has no caller to tell.
//
// What for: durable.h and stream.h. When not: functions whose caller waits; their exceptions become
// errors of kind `internal`.
//
// Threads: any.
#pragma once

#include <functional>
#include <string>

#include "semper/base/result.h"

namespace semper::internal {

// In a catch block: logs what was thrown. `hook` names the function, and whose it is.
void log_thrown(const std::string& hook) noexcept;

// What a hook says about an error; `if_thrown` where it threw (logged as `what`).
enum class IfThrown : bool { no, yes };
bool says_yes(const std::function<bool(const Error&)>& hook, const Error& error,
              const std::string& what, IfThrown if_thrown) noexcept;

// What the is_permanent of `name`'s options says; false where there is none, or it threw (logged).
bool says_permanent(const std::function<bool(const Error&)>& is_permanent, const Error& error,
                    const std::string& name) noexcept;

}  // namespace semper::internal
