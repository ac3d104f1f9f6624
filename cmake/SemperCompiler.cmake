# The compiler's settings for everything built here. What a user of the installed package must share
# (C++20) travels with the targets; the rest stays private.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(PROJECT_IS_TOP_LEVEL AND NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Build type" FORCE)
endif()

# Assertions and logs name files as they are in the repository.
add_compile_options("-fmacro-prefix-map=${PROJECT_SOURCE_DIR}/=")

if(PROJECT_IS_TOP_LEVEL)
  # The compile cache is shared by all build folders: what differs between them is only the working
  # directory in debug information, where our absolute source paths do not need it.
  find_program(SEMPER_CCACHE ccache)
  mark_as_advanced(SEMPER_CCACHE)
  if(SEMPER_CCACHE)
    set(CMAKE_C_COMPILER_LAUNCHER env CCACHE_NOHASHDIR=1 "${SEMPER_CCACHE}")
    set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_C_COMPILER_LAUNCHER})
  endif()
  find_program(SEMPER_LLD ld.lld)
  mark_as_advanced(SEMPER_LLD)
  if(SEMPER_LLD AND NOT CMAKE_CROSSCOMPILING)
    add_link_options(-fuse-ld=lld)
  endif()
endif()

set(SEMPER_WARNINGS
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wconversion
  -Wno-sign-conversion -Wcast-align -Wimplicit-fallthrough)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # False alarms: about asio's coroutine frames, and about the names a behaviour gives to templates
  # (State, Messages, Reply) where its class is local to a function.
  list(APPEND SEMPER_WARNINGS -Wlogical-op -Wno-mismatched-new-delete -Wno-unused-local-typedefs)
endif()

# What compiles several of its sources as one, which takes half the time: most of it goes into the headers
# that they share. A list of
#   tests    test programs, and the libraries that only they use
#   product  the libraries and programs that people use; apart, each source shows what it fails to include
# So what stands in anonymous namespaces of a target's sources needs names that differ. Benchmarks are always
# compiled apart: those that are compared have parts of the same names.
set(SEMPER_UNITY "" CACHE STRING "What compiles several sources as one: tests, product, both or nothing")
set(semper_unity_batch_tests 6)
set(semper_unity_batch_product 8)

# The sources of the target are of that kind, `tests` or `product`.
function(semper_unity target kind)
  if(NOT kind IN_LIST SEMPER_UNITY)
    return()
  endif()
  set_target_properties(${target} PROPERTIES
    UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE ${semper_unity_batch_${kind}})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # To it, what stands in an anonymous namespace is a header's where its file is included.
    target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:-Wno-subobject-linkage>")
  endif()
endfunction()

function(semper_warnings target)
  target_compile_options(${target} PRIVATE
    "$<$<COMPILE_LANGUAGE:CXX>:${SEMPER_WARNINGS}>" "$<$<COMPILE_LANGUAGE:C>:-Wall;-Wextra>")
endfunction()
