# cmake -DSOURCE_DIR=... -P check_awaits.cmake
#
# Fails, naming file and line, where something that people copy (README, docs, public headers, examples)
# makes an aggregate, or a lambda with captures by value, inside an expression with co_await: g++ 12
# destroys their members twice. What shows the
# fault itself says "not:" in its line.
cmake_minimum_required(VERSION 3.25)

file(GLOB_RECURSE files "${SOURCE_DIR}/README.md" "${SOURCE_DIR}/docs/*.md" "${SOURCE_DIR}/include/*.h"
     "${SOURCE_DIR}/examples/*.cc" "${SOURCE_DIR}/examples/*.h")
list(LENGTH files count)
if(count EQUAL 0)
  message(FATAL_ERROR "no file found under ${SOURCE_DIR}: nothing was checked")
endif()
set(wrong 0)
foreach(file IN LISTS files)
  # Brackets and semicolons would take a list of lines apart.
  file(READ "${file}" text)
  string(REPLACE ";" "<semicolon>" text "${text}")
  string(REGEX REPLACE "[][]" "|" text "${text}")
  string(REPLACE "\n" ";" lines "${text}")
  set(number 0)
  foreach(line IN LISTS lines)
    math(EXPR number "${number} + 1")
    # A lambda that captures by value: |key|, |=|, |n = 1|; not |&|, |&key|, |this|, nor an index.
    if(line MATCHES "co_await .*[(,] ?[|]([A-Za-z_=]|&[^|]*, ?[A-Za-z_])" AND NOT line MATCHES "not: "
       AND NOT line MATCHES "[(,] ?[|]this[|]")
      cmake_path(RELATIVE_PATH file BASE_DIRECTORY "${SOURCE_DIR}" OUTPUT_VARIABLE shown)
      message(SEND_ERROR "${shown}:${number}: a lambda with captures by value is named before the "
                         "co_await, or gets arguments instead: ${line}")
      math(EXPR wrong "${wrong} + 1")
    endif()
    if(line MATCHES "co_await .*([A-Za-z0-9_>]|[(,] ?){" AND NOT line MATCHES "not: ")
      cmake_path(RELATIVE_PATH file BASE_DIRECTORY "${SOURCE_DIR}" OUTPUT_VARIABLE shown)
      message(SEND_ERROR "${shown}:${number}: name what is made here before the co_await: ${line}")
      math(EXPR wrong "${wrong} + 1")
    endif()
  endforeach()
endforeach()
if(wrong GREATER 0)
  message(FATAL_ERROR "${wrong} places in ${count} files")
endif()
message(STATUS "${count} files make nothing inside a co_await")
