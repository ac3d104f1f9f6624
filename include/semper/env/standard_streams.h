// Standard streams: what is done before a file is opened, so that text for people never ends in it.
//
// What for: the first line of main() in a program that keeps files. A program that is started with one of
// its standard streams closed (`program >&-`, some service managers) is given that number for the next file
// that it opens; what it then prints is written into the file. When not: a library, which does not own the
// process; Semper's own files never have these numbers, whatever the program does.
//
//   int main() {
//     semper::guard_standard_streams();
//     return semper::run(application());
//   }
//
// Threads: before the first one is started.
#pragma once

namespace semper {

// Takes the numbers 0, 1 and 2, where they are free, in a way that gives an error: reading or writing a
// stream that was closed fails, as it does without this.
void guard_standard_streams();

}  // namespace semper
