// error: semper::Reply<int>.* has no member named .*control
#include "thing.h"

void look(semper::Reply<int>& reply) {
  static_cast<void>(reply.control());
}
