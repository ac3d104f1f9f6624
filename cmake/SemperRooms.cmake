# A room of Semper is one library target, semper::NAME, whose files are found by place:
#
#   include/semper/NAME/*.h      public headers, installed, each checked to stand on its own
#   src/NAME/*.cc, *.h           sources and private headers, in folders where the room has many
#   src/NAME/*_test.cc           unit tests beside them, together one program NAME_test
#   src/NAME/*_test_support.*    what those tests share
#   src/NAME/*_test.proto        messages for those tests only
#   src/NAME/*.proto             messages of the room itself: "x.pb.h" for its sources and its tests
#   backends/NAME/...            the same for a storage backend (public headers are rare there)
#
# A room with headers alone is an interface library; a room with nothing is left out, and links to
# it are dropped.
include(GoogleTest)

set(SEMPER_INCLUDE "${PROJECT_SOURCE_DIR}/include")
set(SEMPER_TEST_TIMEOUT_SECONDS 120 CACHE STRING "Time limit of one test case")
set(SEMPER_TEST_PARTS 0 CACHE STRING
  "Run the cases of a test program in so many processes. 0: each case in one of its own")
set(SEMPER_TEST_COMPILE_OPTIONS "" CACHE STRING "More options for compiling tests, after all others")
set(SEMPER_LABEL_UNIT unit)
# Seconds, about, of the longest cases, so that ctest starts with what takes long, also where it has no
# times of its own yet, and no processor is left with nothing to do at the end.
set(semper_cost_group 60)
set(semper_cost_part 50)
set(semper_cost_crash 40)
set(semper_cost_durable_server 30)
set(semper_cost_rpc 10)
set(semper_cost_cli 10)
set(semper_cost_powercut 5)
set(SEMPER_EXPORTS "${PROJECT_SOURCE_DIR}/cmake/semper_exports.map")
# The version in the name that programs load (SONAME): releases that share it can stand in for each other.
# Before 1.0 that is a minor version, as for find_package; see docs/building.md.
set(SEMPER_SOVERSION ${PROJECT_VERSION_MAJOR})
if(PROJECT_VERSION_MAJOR EQUAL 0)
  set(SEMPER_SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
endif()
add_custom_target(semper_unit_tests)
define_property(GLOBAL PROPERTY SEMPER_ROOMS BRIEF_DOCS "Every declared room, absent ones too")
define_property(GLOBAL PROPERTY SEMPER_LAYERS BRIEF_DOCS "Lines ROOM=DIRECT,DEPENDENCIES")

# semper_room(NAME base [DIR folder] [DEPENDS rooms...] [PUBLIC_LINKS targets...]
#             [PRIVATE_LINKS targets...] [TEST_LINKS rooms-or-targets...] [TEST_GROUPS NAME=FILTER...])
# TEST_GROUPS: the room's tests in as many runs of the program, for tests that share a server which
# takes long to start; each FILTER is GoogleTest's. By default every case is a run of its own.
function(semper_room name)
  cmake_parse_arguments(PARSE_ARGV 1 room "" "DIR"
                        "DEPENDS;PUBLIC_LINKS;PRIVATE_LINKS;TEST_LINKS;TEST_GROUPS")
  set_property(GLOBAL PROPERTY SEMPER_TEST_GROUPS_${name}_test "${room_TEST_GROUPS}")
  if(room_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "semper_room(${name}): unknown arguments ${room_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT room_DIR)
    set(room_DIR "src/${name}")
  endif()
  set_property(GLOBAL APPEND PROPERTY SEMPER_ROOMS ${name})
  string(JOIN "," layers ${room_DEPENDS})
  set_property(GLOBAL APPEND PROPERTY SEMPER_LAYERS "${name}=${layers}")

  set(source_dir "${PROJECT_SOURCE_DIR}/${room_DIR}")
  file(GLOB headers CONFIGURE_DEPENDS "${SEMPER_INCLUDE}/semper/${name}/*.h"
       "${SEMPER_INCLUDE}/semper/${name}/internal/*.h")
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${source_dir}/*.cc")
  file(GLOB_RECURSE tests CONFIGURE_DEPENDS "${source_dir}/*_test.cc"
       "${source_dir}/*_test_support.cc")
  list(REMOVE_ITEM sources ${tests} "")
  if(NOT headers AND NOT sources)
    message(STATUS "Room ${name}: nothing there, left out")
    return()
  endif()

  semper_library(${name} "${headers}" "${sources}")
  semper_describe_component(${name} "${room_DEPENDS}" "${room_PUBLIC_LINKS}" "${room_PRIVATE_LINKS}")
  foreach(dependency IN LISTS room_DEPENDS)
    semper_link_room(semper_${name} ${semper_public} ${dependency})
  endforeach()
  target_link_libraries(semper_${name} ${semper_public} ${room_PUBLIC_LINKS})
  if(sources)
    target_link_libraries(semper_${name} PRIVATE ${room_PRIVATE_LINKS})
    target_include_directories(semper_${name} PRIVATE "${PROJECT_SOURCE_DIR}/src"
                               "${PROJECT_SOURCE_DIR}")
  endif()
  file(GLOB protos CONFIGURE_DEPENDS "${source_dir}/*.proto")
  list(FILTER protos EXCLUDE REGEX "_test\\.proto$")
  if(protos)
    semper_generate_protos(generated "${CMAKE_CURRENT_BINARY_DIR}/${name}_proto" "${protos}")
    target_sources(semper_${name} PRIVATE ${generated})
    set_source_files_properties(${generated} PROPERTIES COMPILE_OPTIONS "-w" SKIP_LINTING ON)
    target_include_directories(semper_${name} SYSTEM PUBLIC
                               "$<BUILD_INTERFACE:${CMAKE_CURRENT_BINARY_DIR}/${name}_proto>")
  endif()

  if(SEMPER_BUILD_TESTS AND tests)
    semper_room_test(${name} "${source_dir}" "${tests}" ${room_PRIVATE_LINKS} ${room_TEST_LINKS})
  endif()
endfunction()

# semper_backend(NAME [DEPENDS rooms...] ...): a room under backends/ that every store URL may name;
# it depends on store, and on what it names besides.
function(semper_backend name)
  cmake_parse_arguments(PARSE_ARGV 1 backend "" "" "DEPENDS;PRIVATE_LINKS;TEST_LINKS;TEST_GROUPS")
  semper_room(${name} DIR "backends/${name}" DEPENDS store ${backend_DEPENDS}
              PRIVATE_LINKS ${backend_PRIVATE_LINKS} TEST_LINKS ${backend_TEST_LINKS}
              TEST_GROUPS ${backend_TEST_GROUPS})
  set_property(GLOBAL APPEND PROPERTY SEMPER_BACKENDS ${name})
endfunction()

# The front door, semper::semper: headers directly under include/semper, and a link to every room
# declared so far but those that need gRPC, which a program asks for by name: two libraries, and forty-eight
# that they load.
set(SEMPER_ROOMS_APART rpc etcd)
function(semper_facade)
  file(GLOB headers CONFIGURE_DEPENDS "${SEMPER_INCLUDE}/semper/*.h")
  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/facade/*.cc")
  file(GLOB tests CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/facade/*_test.cc")
  list(REMOVE_ITEM sources ${tests} "")
  get_property(rooms GLOBAL PROPERTY SEMPER_ROOMS)
  list(REMOVE_ITEM rooms ${SEMPER_ROOMS_APART})
  get_property(backends GLOBAL PROPERTY SEMPER_BACKENDS)
  list(REMOVE_ITEM backends ${SEMPER_ROOMS_APART})
  semper_library(facade "${headers}" "${sources}")
  semper_describe_component(facade "${rooms}" "" "")
  set_target_properties(semper_facade PROPERTIES EXPORT_NAME semper OUTPUT_NAME semper)
  add_library(semper::semper ALIAS semper_facade)
  foreach(room IN LISTS rooms)
    semper_link_room(semper_facade ${semper_public} ${room})
  endforeach()
  if(sources)
    target_include_directories(semper_facade PRIVATE "${PROJECT_SOURCE_DIR}/src"
                               "${PROJECT_SOURCE_DIR}")
    target_compile_definitions(semper_facade PRIVATE "SEMPER_PROJECT_VERSION=\"${PROJECT_VERSION}\"")
    foreach(backend IN LISTS backends)
      if(TARGET semper_${backend})
        string(TOUPPER "${backend}" upper)
        target_compile_definitions(semper_facade PRIVATE SEMPER_HAS_${upper}=1)
      endif()
    endforeach()
  endif()
  if(SEMPER_BUILD_TESTS AND tests)
    semper_room_test(facade "${PROJECT_SOURCE_DIR}/src/facade" "${tests}" testing)
    target_compile_definitions(facade_test PRIVATE "SEMPER_PROJECT_VERSION=\"${PROJECT_VERSION}\"")
  endif()
endfunction()

# The library target of a room; sets semper_public to the keyword its public links need.
function(semper_library name headers sources)
  set(target semper_${name})
  if(sources)
    add_library(${target} ${sources})
    set(public PUBLIC)
    semper_warnings(${target})
    if(name STREQUAL "testing")
      semper_unity(${target} tests)
    else()
      semper_unity(${target} product)
    endif()
    semper_plant_mutants(${target} "${sources}")
    if(SEMPER_COVERAGE)
      # Of the rooms alone: tests share what the preset dev has compiled.
      target_compile_options(${target} PRIVATE -O0 --coverage -fprofile-abs-path
                             -fprofile-update=atomic)
      target_link_options(${target} ${public} --coverage)
    endif()
    # Also an archive ends up in other people's shared libraries: plug-ins, language bindings.
    # No ${target}_EXPORTS: shared and static builds share what is in the compile cache.
    set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON DEFINE_SYMBOL ""
      VERSION ${PROJECT_VERSION} SOVERSION ${SEMPER_SOVERSION})
    if(BUILD_SHARED_LIBS)
      target_link_options(${target} PRIVATE "LINKER:--version-script=${SEMPER_EXPORTS}")
      set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS "${SEMPER_EXPORTS}")
    endif()
  else()
    add_library(${target} INTERFACE)
    set(public INTERFACE)
  endif()
  add_library(semper::${name} ALIAS ${target})
  target_compile_features(${target} ${public} cxx_std_20)
  list(FILTER headers EXCLUDE REGEX "/internal/mutant\\.h$")
  semper_headers_included_first(first "${headers}" "${sources}")
  list(REMOVE_ITEM headers ${first} "")
  target_sources(${target} ${public}
    FILE_SET HEADERS BASE_DIRS "${SEMPER_INCLUDE}" FILES ${headers}
    FILE_SET included_first TYPE HEADERS BASE_DIRS "${SEMPER_INCLUDE}" FILES ${first})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name} VERIFY_INTERFACE_HEADER_SETS ON
    INTERFACE_HEADER_SETS_TO_VERIFY HEADERS)
  if(SEMPER_INSTALL)
    install(TARGETS ${target} EXPORT semper_${name}_targets
            ARCHIVE LIBRARY RUNTIME FILE_SET HEADERS FILE_SET included_first)
  endif()
  set_property(GLOBAL APPEND PROPERTY SEMPER_PRODUCT ${target})
  set(semper_public ${public} PARENT_SCOPE)
endfunction()

# Sets `first` to the headers that a source includes before anything else. They stand on their own where
# each source is compiled apart, and are not compiled a second time to see it.
function(semper_headers_included_first first headers sources)
  set(found "")
  if(NOT "product" IN_LIST SEMPER_UNITY)
    foreach(source IN LISTS sources)
      file(STRINGS "${source}" includes REGEX "^#include" LIMIT_COUNT 1)
      string(REGEX REPLACE "^.*\"(.+)\"$" "${SEMPER_INCLUDE}/\\1" header "${includes}")
      if(header IN_LIST headers)
        list(APPEND found "${header}")
      endif()
    endforeach()
    list(REMOVE_DUPLICATES found)
  endif()
  set(${first} ${found} PARENT_SCOPE)
endfunction()

# What a component of the installed package needs, for cmake/SemperInstall.cmake: rooms, and the targets of
# others that its users link with it, which are the private ones too where it is an archive.
function(semper_describe_component name depends public_links private_links)
  set(links ${public_links})
  if(NOT BUILD_SHARED_LIBS)
    list(APPEND links ${private_links})
  endif()
  set_property(GLOBAL APPEND PROPERTY SEMPER_COMPONENTS ${name})
  set_property(GLOBAL PROPERTY SEMPER_COMPONENT_NEEDS_${name} ${depends})
  set_property(GLOBAL PROPERTY SEMPER_COMPONENT_LINKS_${name} ${links})
endfunction()

# Links another room if it is there; a name that was never declared is a mistake.
function(semper_link_room target keyword room)
  get_property(rooms GLOBAL PROPERTY SEMPER_ROOMS)
  if(NOT room IN_LIST rooms)
    message(FATAL_ERROR "${target} depends on room ${room}, which is not declared before it")
  endif()
  if(TARGET semper_${room})
    target_link_libraries(${target} ${keyword} semper_${room})
  endif()
endfunction()

# NAME_test out of all test files of a room. Links may name rooms that are declared later, so they
# are resolved by semper_finish_rooms.
function(semper_room_test name dir tests)
  set(target ${name}_test)
  add_executable(${target} ${tests})
  semper_warnings(${target})
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/src" "${PROJECT_SOURCE_DIR}")
  target_link_libraries(${target} PRIVATE semper_${name} GTest::gtest_main GTest::gmock)
  set_property(GLOBAL APPEND PROPERTY SEMPER_TEST_TARGETS ${target})
  set_property(GLOBAL PROPERTY SEMPER_TEST_LINKS_${target} ${ARGN})

  file(GLOB protos CONFIGURE_DEPENDS "${dir}/*_test.proto")
  if(protos)
    find_package(Protobuf REQUIRED)
    semper_proto_library(${target}_proto "${protos}")
    target_link_libraries(${target} PRIVATE ${target}_proto)
  endif()
  semper_discover_tests(${target} ${SEMPER_LABEL_UNIT})
endfunction()

# Each case of a GoogleTest program as a test, found when ctest runs. What has the label `unit` is
# also built by the target semper_unit_tests, and run under the sanitizers.
function(semper_discover_tests target label)
  semper_unity(${target} tests)
  # Days of simulated time pass in the other two; the linker takes a program's own copies of what is
  # inline also for the libraries.
  if(NOT label MATCHES "^(durable_server|simulation)$")
    target_compile_options(${target} PRIVATE ${SEMPER_TEST_COMPILE_OPTIONS})
  endif()
  if(label STREQUAL SEMPER_LABEL_UNIT)
    add_dependencies(semper_unit_tests ${target})
  endif()
  string(REGEX REPLACE "_test$" "." prefix "${target}")
  get_property(groups GLOBAL PROPERTY SEMPER_TEST_GROUPS_${target})
  foreach(group IN LISTS groups)
    string(REGEX MATCH "^([^=]+)=(.*)$" matched "${group}")
    add_test(NAME "${prefix}${CMAKE_MATCH_1}" COMMAND ${target} "--gtest_filter=${CMAKE_MATCH_2}")
    set_tests_properties("${prefix}${CMAKE_MATCH_1}" PROPERTIES
      LABELS ${label} TIMEOUT ${SEMPER_TEST_TIMEOUT_SECONDS} COST ${semper_cost_group})
  endforeach()
  if(groups)
    return()
  endif()
  if(SEMPER_TEST_PARTS GREATER 0)
    foreach(part RANGE 1 ${SEMPER_TEST_PARTS})
      set(name "${prefix}part_${part}_of_${SEMPER_TEST_PARTS}")
      math(EXPR index "${part} - 1")
      add_test(NAME "${name}" COMMAND ${target})
      set_tests_properties("${name}" PROPERTIES
        LABELS ${label} TIMEOUT ${SEMPER_TEST_TIMEOUT_SECONDS} COST ${semper_cost_part}
        ENVIRONMENT "GTEST_TOTAL_SHARDS=${SEMPER_TEST_PARTS};GTEST_SHARD_INDEX=${index}")
    endforeach()
    return()
  endif()
  set(cost 0)
  if(DEFINED semper_cost_${label})
    set(cost ${semper_cost_${label}})
  endif()
  gtest_discover_tests(${target} TEST_PREFIX "${prefix}" DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
    PROPERTIES LABELS ${label} TIMEOUT ${SEMPER_TEST_TIMEOUT_SECONDS} COST ${cost})
endfunction()

# The allocator of a program. Many small blocks live at once in ours (a coroutine or two for each
# operation under way), more than glibc keeps at hand for a thread. Libraries leave the choice to theirs.
function(semper_allocator target)
  if(SEMPER_WITH_MIMALLOC)
    target_link_libraries(${target} PRIVATE mimalloc)
  endif()
endfunction()

# A program out of the given sources; those named *_test.cc, with all others but main.cc, make its unit
# tests, TARGET_test. They find the program itself under the macro SEMPER_PROGRAM. Headers are included by
# their path from the folder of main.cc.
function(semper_program_with_tests target sources)
  set(tests ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  set(parts ${sources})
  list(FILTER parts EXCLUDE REGEX "(_test|/main)\\.cc$")
  set(main ${sources})
  list(FILTER main INCLUDE REGEX "/main\\.cc$")
  cmake_path(GET main PARENT_PATH folder)

  add_executable(${target} ${main})
  semper_warnings(${target})
  target_include_directories(${target} PRIVATE "${folder}")
  semper_allocator(${target})
  target_link_libraries(${target} PRIVATE ${ARGN})
  if(parts)
    add_library(${target}_parts OBJECT ${parts})
    semper_warnings(${target}_parts)
    semper_unity(${target}_parts product)
    target_include_directories(${target}_parts PRIVATE "${folder}")
    target_link_libraries(${target}_parts PRIVATE ${ARGN})
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:${target}_parts>)
  endif()
  if(NOT tests OR NOT SEMPER_BUILD_TESTS)
    return()
  endif()
  add_executable(${target}_test ${tests})
  semper_warnings(${target}_test)
  target_include_directories(${target}_test PRIVATE "${folder}")
  target_link_libraries(${target}_test PRIVATE
    ${ARGN} $<TARGET_NAME_IF_EXISTS:semper_testing> GTest::gtest_main GTest::gmock)
  target_compile_definitions(${target}_test PRIVATE "SEMPER_PROGRAM=\"$<TARGET_FILE:${target}>\"")
  add_dependencies(${target}_test ${target})
  if(parts)
    target_sources(${target}_test PRIVATE $<TARGET_OBJECTS:${target}_parts>)
  endif()
  semper_discover_tests(${target}_test ${SEMPER_LABEL_UNIT})
endfunction()

# Sets `generated` to the files that protoc makes of the protos in the folder `out`.
function(semper_generate_protos generated_name out protos)
  file(MAKE_DIRECTORY "${out}")
  set(generated "")
  foreach(proto IN LISTS protos)
    cmake_path(GET proto STEM stem)
    cmake_path(GET proto PARENT_PATH folder)
    add_custom_command(
      OUTPUT "${out}/${stem}.pb.cc" "${out}/${stem}.pb.h"
      COMMAND protobuf::protoc --cpp_out=${out} -I${folder} ${proto}
      DEPENDS ${proto} VERBATIM)
    list(APPEND generated "${out}/${stem}.pb.cc" "${out}/${stem}.pb.h")
  endforeach()
  set(${generated_name} ${generated} PARENT_SCOPE)
endfunction()

# Generated protobuf code as a library of its own, so that our warnings stay off it. A file
# a/b_test.proto is included as "b_test.pb.h".
function(semper_proto_library target protos)
  set(out "${CMAKE_CURRENT_BINARY_DIR}/${target}")
  semper_generate_protos(generated "${out}" "${protos}")
  add_library(${target} STATIC ${generated})
  target_include_directories(${target} SYSTEM PUBLIC "${out}")
  target_link_libraries(${target} PUBLIC protobuf::libprotobuf)
  set_target_properties(${target} PROPERTIES EXCLUDE_FROM_ALL ON)
endfunction()

# Late links of the tests, and the check that each public header compiles alone.
function(semper_finish_rooms)
  get_property(rooms GLOBAL PROPERTY SEMPER_ROOMS)
  get_property(test_targets GLOBAL PROPERTY SEMPER_TEST_TARGETS)
  foreach(target IN LISTS test_targets)
    get_property(links GLOBAL PROPERTY SEMPER_TEST_LINKS_${target})
    foreach(link IN LISTS links)
      if(TARGET semper_${link})
        target_link_libraries(${target} PRIVATE semper_${link})
      elseif(TARGET ${link})
        target_link_libraries(${target} PRIVATE ${link})
      endif()
    endforeach()
  endforeach()
  add_custom_target(semper_check_headers)
  add_dependencies(semper_check_headers all_verify_interface_header_sets)
endfunction()
