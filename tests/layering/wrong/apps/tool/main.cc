// What the layering check must refuse: a program that knows the inside of a room.
#include "semper/base/bytes.h"
#include "src/store/overlay.h"
#include "words.h"
