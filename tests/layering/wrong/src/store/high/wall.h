// Knows the folder below, which knows roof.h.
#pragma once

#include "store/low/ground.h"
