// A part of alpha without a header of its own: it includes beta, and so alpha does.
#include "ring/alpha.h"
#include "ring/beta.h"
