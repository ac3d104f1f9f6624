// The `memory:` backend, as the other backends are included.
#pragma once

#include "semper/memory/memory.h"
