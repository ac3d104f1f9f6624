#include "base/second.h"

#include "base/third.h"
