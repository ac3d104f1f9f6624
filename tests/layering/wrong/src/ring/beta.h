// Includes alpha, which is right by itself.
#pragma once

#include "ring/alpha.h"
