// Fork guard: an open store belongs to the process that opened it.
//
// A forked child shares memory, descriptors and locks with its parent, and SQLite forbids to use a
// connection there. Each open store remembers the generation it was made in; a child is in another
// one. What the child inherited is left alone: not used, and not destroyed either, because both
// would touch locks that are the parent's.
//
// A child that opens the store anew gets what SQLite would not give it by itself. SQLite keeps per
// process which locks it has on which file, by the file's number: a child would find its parent's
// list, believe that it has locks that it has not, and lose the log to whoever closes last. So
// files have other numbers in a child, through the one door by which SQLite asks for them. And its
// own mutexes are held during the fork, so that none of them is held for ever in the child.
#pragma once

#include <mutex>

#include "semper/env/fork.h"

namespace semper::sqlite {

// Before the process uses SQLite for a store.
void prepare_process();

// For what all stores of the process share. Free in every forked child, whoever held it.
std::mutex& fork_safe_mutex();

// Closes the descriptor in forked children, so that a child that lives on keeps no lock of its
// parent alive. At most kCloseInChildMaximum; false past it.
inline constexpr int kCloseInChildMaximum = 1024;
bool close_in_child(int descriptor);
void forget_descriptor(int descriptor);

// The same for sockets to other processes, which are more, and of which this process may have none.
inline constexpr int kSocketsClosedInChildMaximum = 8192;
bool close_socket_in_child(int descriptor);
void forget_socket_descriptor(int descriptor);

}  // namespace semper::sqlite
