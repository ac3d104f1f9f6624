// error: ignoring returned value of type [^ ]*semper::Result<int>
#include "thing.h"

semper::Result<int> parse();
void ignore() {
  parse();
}
