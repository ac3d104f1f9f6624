// What the layering check must refuse: a folder that knows the one above it.
#pragma once

#include "store/high/roof.h"
