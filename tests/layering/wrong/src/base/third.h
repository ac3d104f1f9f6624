// Between the two.
#pragma once

#include "first.h"
