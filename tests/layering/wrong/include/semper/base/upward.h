// What the layering check must refuse: a header of the lowest room that looks up.
#pragma once

#include "semper/store/store.h"
