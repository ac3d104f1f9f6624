# cmake -DSOURCE_DIR=... "-DLAYERS=room=dependency,dependency|room=..." -P check_includes.cmake
#
# Fails, naming file and include, where a production file of a room
#   - includes a public header of a room that is not below it, or the front door of all rooms,
#   - includes a private header of another room,
#   - includes Asio past semper/env/asio.h,
# or where a public header includes a private one or a heavy third party, or where the front door, a program
# in apps/ or an example includes what is private to a room.
cmake_minimum_required(VERSION 3.25)

set(heavy "^<(sqlite3|spdlog/|fmt/|CLI/|google/protobuf/|grpc)")
set(rooms "")
string(REPLACE "|" ";" LAYERS "${LAYERS}")
foreach(layer IN LISTS LAYERS)
  string(REGEX MATCH "^([^=]+)=(.*)$" matched "${layer}")
  set(room "${CMAKE_MATCH_1}")
  string(REPLACE "," ";" direct_${room} "${CMAKE_MATCH_2}")
  list(APPEND rooms ${room})
endforeach()

# Lowest first, so that what a room depends on is closed already.
foreach(room IN LISTS rooms)
  set(below_${room} ${room})
  foreach(dependency IN LISTS direct_${room})
    list(APPEND below_${room} ${below_${dependency}})
  endforeach()
endforeach()

set(wrong 0)
macro(refuse why)
  message(SEND_ERROR "${file}: ${why}")
  math(EXPR wrong "${wrong} + 1")
endmacro()

function(check_include room file include is_public)
  string(REGEX MATCH "^\"(semper|src|backends)/([^/\"]+)/" matched "${include}")
  set(root "${CMAKE_MATCH_1}")
  set(other "${CMAKE_MATCH_2}")
  if(root STREQUAL "semper" AND NOT other IN_LIST below_${room})
    refuse("room ${room} may not include room ${other}")
  elseif(include MATCHES "^\"semper/[^/]*$")
    refuse("room ${room} may not include the front door ${include}")
  elseif(root MATCHES "src|backends" AND NOT other STREQUAL room)
    refuse("room ${room} may not include the private header ${include} of another room")
  elseif(include MATCHES "^\"([^/\"]+)/" AND CMAKE_MATCH_1 IN_LIST rooms
         AND NOT CMAKE_MATCH_1 STREQUAL room)
    refuse("room ${room} may not include the private header ${include} of another room")
  elseif(include MATCHES "^<asio" AND NOT file MATCHES "^include/semper/env/asio(_net)?\\.h$")
    refuse("Asio is included through semper/env/asio.h and asio_net.h only, not ${include}")
  elseif(is_public AND include MATCHES "^\"" AND NOT root STREQUAL "semper")
    refuse("a public header may not include the private header ${include}")
  elseif(is_public AND include MATCHES "${heavy}")
    refuse("a public header may not include ${include}")
  endif()
  set(wrong ${wrong} PARENT_SCOPE)
endfunction()

# A program knows public headers, and files of its own folder.
function(check_program_include program file include)
  string(REGEX REPLACE "^\"(.*)\"$" "\\1" path "${include}")
  cmake_path(GET file PARENT_PATH folder)
  if(include MATCHES "^<asio")
    refuse("Asio is included through semper/env/asio.h and asio_net.h only, not ${include}")
  elseif(include MATCHES "^<" OR EXISTS "${SOURCE_DIR}/${folder}/${path}"
         OR EXISTS "${SOURCE_DIR}/${program}/${path}")
    # the system's, or its own
  elseif(path STREQUAL "semper/base/internal/mutant.h")
    # The tests' own, in whatever they attack; nothing that is shipped has any of it.
  elseif(NOT path MATCHES "^semper/" OR path MATCHES "/internal/")
    refuse("a program may include public headers only, not ${include}")
  endif()
  set(wrong ${wrong} PARENT_SCOPE)
endfunction()

# The front door knows the public headers of all rooms, and how each backend is made.
function(check_facade_include file include)
  set(makes_backend OFF)
  if(include MATCHES "^\"backends/([a-z]+)/([a-z]+)\\.h\"$" AND CMAKE_MATCH_1 STREQUAL CMAKE_MATCH_2)
    set(makes_backend ON)
  endif()
  if(include MATCHES "^<asio")
    refuse("Asio is included through semper/env/asio.h and asio_net.h only, not ${include}")
  elseif(include MATCHES "^\"" AND NOT include MATCHES "^\"(semper|facade)/" AND NOT makes_backend)
    refuse("the front door may not include the private header ${include}")
  elseif(file MATCHES "^include/" AND include MATCHES "^\"" AND NOT include MATCHES "^\"semper/")
    refuse("a public header may not include the private header ${include}")
  endif()
  set(wrong ${wrong} PARENT_SCOPE)
endfunction()

set(checked 0)
# check_files(KIND OWNER files): each include of each file.
macro(check_files kind owner files)
  foreach(file IN ITEMS ${files})
    if(file MATCHES "(_test(_support)?\\.(cc|h)|/test_[^/]*\\.h)$")
      continue()
    endif()
    math(EXPR checked "${checked} + 1")
    set(is_public OFF)
    if(file MATCHES "^include/")
      set(is_public ON)
    endif()
    file(STRINGS "${SOURCE_DIR}/${file}" lines REGEX "^[ \t]*#[ \t]*include[ \t]*[<\"]")
    foreach(line IN LISTS lines)
      string(REGEX MATCH "[<\"][^>\"]*[>\"]?" include "${line}")
      if("${kind}" STREQUAL "room")
        check_include(${owner} "${file}" "${include}" ${is_public})
      elseif("${kind}" STREQUAL "facade")
        check_facade_include("${file}" "${include}")
      else()
        check_program_include("${owner}" "${file}" "${include}")
      endif()
    endforeach()
  endforeach()
endmacro()

foreach(room IN LISTS rooms)
  file(GLOB_RECURSE files RELATIVE "${SOURCE_DIR}"
    "${SOURCE_DIR}/include/semper/${room}/*.h" "${SOURCE_DIR}/src/${room}/*.h"
    "${SOURCE_DIR}/src/${room}/*.cc" "${SOURCE_DIR}/backends/${room}/*.h"
    "${SOURCE_DIR}/backends/${room}/*.cc")
  check_files(room ${room} "${files}")
endforeach()
file(GLOB files RELATIVE "${SOURCE_DIR}" "${SOURCE_DIR}/include/semper/*.h"
     "${SOURCE_DIR}/src/facade/*.h" "${SOURCE_DIR}/src/facade/*.cc")
check_files(facade facade "${files}")
file(GLOB programs RELATIVE "${SOURCE_DIR}" "${SOURCE_DIR}/apps/*" "${SOURCE_DIR}/examples/*")
foreach(program IN LISTS programs)
  file(GLOB_RECURSE files RELATIVE "${SOURCE_DIR}" "${SOURCE_DIR}/${program}/*.h"
       "${SOURCE_DIR}/${program}/*.cc")
  check_files(program "${program}" "${files}")
endforeach()

if(checked EQUAL 0)
  message(FATAL_ERROR "no file found under ${SOURCE_DIR}: nothing was checked")
elseif(wrong GREATER 0)
  message(FATAL_ERROR "${wrong} includes against the order of the rooms in ${checked} files")
endif()
message(STATUS "${checked} files include only what their room may know")
