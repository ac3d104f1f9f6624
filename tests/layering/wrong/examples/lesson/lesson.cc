// What the layering check must refuse: an example that uses what is internal.
#include "semper/server/internal/handled.h"
