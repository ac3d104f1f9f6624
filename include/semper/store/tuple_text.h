// Tuples as text that people read and type: for the command line, logs and tests.
//
// What for: showing keys, and taking them from an argument. When not: storing or sending them; that
// is what the encoding is for.
//
//   ("users", 42, -1.5d, true, null, b"\x00ff", uuid"00112233-...", stamp"000...-0000-0007", (1,))
//
//   ()  (a, b)  (a,)      a tuple, nested ones too; the comma after the last element is optional
//   null true false       as they are
//   42  -7                an integer of up to 255 bytes
//   1.5d  -2e10  0.5f     a double, with suffix d or with a point or an exponent; a float with f
//   double"inf" float"nan" double"-inf" double"7ff0000000000001"
//                         what has no digits: by name, or by its bits in hexadecimal
//   "text"                UTF-8; escapes \" \\ \n \r \t \xHH \u{HEX}
//   b"bytes"              the same without \u{...}
//   uuid"..."  stamp"..." see uuid.h and versionstamp.h
//
// parse_tuple_text(to_text(t)) == t for every tuple, bit for bit. Threads: any.
#pragma once

#include <string>
#include <string_view>

#include "semper/base/bytes.h"
#include "semper/base/result.h"
#include "semper/store/tuple.h"

namespace semper {

// One line. Characters that would move a terminal's cursor or hide text are escaped.
std::string to_text(const Tuple& tuple);
std::string to_text(const TupleElement& element);

// Spaces, tabs and line ends between the parts are skipped. invalid_argument, with the position
// (counted in bytes from 0) and what was expected there: correct the text.
Result<Tuple> parse_tuple_text(std::string_view text);

// A key for people to read: the text of the tuple if the whole key is one, otherwise to_printable()
// of the whole key (with a leading '(' as \x28, so that the two can be told apart).
std::string printable_key(BytesView key);

// Parses what printable_key() shows: a tuple's text, or bytes with \\ and \xHH. invalid_argument,
// with the position: correct the text.
Result<Bytes> parse_key_text(std::string_view text);

}  // namespace semper
