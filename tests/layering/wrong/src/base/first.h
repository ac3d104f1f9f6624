// What the layering check must refuse: with second.h, a circle.
#pragma once

#include "base/second.h"
