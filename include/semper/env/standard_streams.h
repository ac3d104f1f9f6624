// Standard streams: a precaution before files are opened, so that printed text never ends up in
// one.
//
// What for: the first line of main() in a program that keeps files. If a program is started with
// one of its standard streams closed (`program >&-`, some service managers), the next file that it
// opens gets that stream's number, and printed text is written into the file. When not: in a
// library, which does not own the process. Semper's own files never have these numbers, whatever
// the program does.
//
//   int main() {
//     semper::guard_standard_streams();
//     return semper::run(application());
//   }
//
// Threads: before the first one is started.
#pragma once

namespace semper {

// Occupies the numbers 0, 1 and 2, if they are free, in such a way that reading or writing a closed
// stream still fails, as it does without this.
void guard_standard_streams();

}  // namespace semper
