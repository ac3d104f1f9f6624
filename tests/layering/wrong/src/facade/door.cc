// What the layering check must refuse: a front door that knows the inside of a room.
#include "server/serve/slot.h"
