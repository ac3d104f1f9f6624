// Env: the clock and the random numbers of a component, in one handle.
//
// What for: anything that waits, draws random numbers or reads time takes an Env (or the part of it
// that it needs) instead of asking the operating system, so that the same code runs under a
// simulation. When not: pure functions.
//
//   const Env env{&simulated_clock, &seeded_random};
//   DirectoryLayer directories(env);
//
// Ownership: the Env borrows; clock and random must outlive everything that uses them.
#pragma once

#include "semper/env/clock.h"
#include "semper/env/random.h"

namespace semper {

struct Env {
  Clock* clock = &system_clock();
  Random* random = &system_random();
};

}  // namespace semper
