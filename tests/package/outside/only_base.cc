// A program on the lowest room alone.
#include <iostream>

#include "semper/base/bytes.h"
#include "semper/base/result.h"

int main() {
  const semper::Result<semper::Bytes> bytes = semper::bytes_of({0x00, 0xff});
  if (!bytes) return 1;
  std::cout << semper::to_hex(*bytes) << '\n';
  return 0;
}
