# Mutants: known bugs that tests/mutants plants one at a time (semper/base/internal/mutant.h).
if(SEMPER_MUTANTS AND CMAKE_BUILD_TYPE MATCHES "^(Release|RelWithDebInfo|MinSizeRel)$")
  message(FATAL_ERROR "SEMPER_MUTANTS plants bugs: a ${CMAKE_BUILD_TYPE} build may not have them")
endif()

set(SEMPER_MUTANT_LISTS "${PROJECT_SOURCE_DIR}/tests/mutants/lists")

# The names of all lists, as C++ strings, for src/base/mutant.cc.
function(semper_mutant_names folder)
  file(GLOB lists CONFIGURE_DEPENDS "${SEMPER_MUTANT_LISTS}/*.txt")
  set(SEMPER_MUTANT_NAMES "\"\",\n")
  foreach(list IN LISTS lists)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${list}")
    file(STRINGS "${list}" lines REGEX "^mutant +")
    foreach(line IN LISTS lines)
      string(REGEX REPLACE "^mutant +" "" name "${line}")
      string(APPEND SEMPER_MUTANT_NAMES "\"${name}\",\n")
    endforeach()
  endforeach()
  file(CONFIGURE OUTPUT "${folder}/mutant_names.h" CONTENT "${SEMPER_MUTANT_NAMES}" @ONLY)
endfunction()

# Tells those of the target's sources that have mutants whether this build plants them. The others are
# compiled as ever, so that builds with and without mutants share what is in the compile cache.
function(semper_plant_mutants target sources)
  get_target_property(unity ${target} UNITY_BUILD)
  if(unity AND NOT SEMPER_MUTANTS)
    # A source with definitions of its own would be compiled apart.
    target_compile_definitions(${target} PRIVATE SEMPER_MUTANTS=0)
    return()
  endif()
  foreach(source IN LISTS sources)
    file(STRINGS "${source}" includes REGEX "include \"semper/base/internal/mutant\\.h\"" LIMIT_COUNT 1)
    if(includes)
      set_property(SOURCE "${source}" APPEND PROPERTY
        COMPILE_DEFINITIONS "SEMPER_MUTANTS=$<BOOL:${SEMPER_MUTANTS}>")
    endif()
    if(source MATCHES "/src/base/mutant\\.cc$" AND SEMPER_MUTANTS)
      set(folder "${PROJECT_BINARY_DIR}/mutants")
      semper_mutant_names("${folder}")
      set_property(SOURCE "${source}" APPEND PROPERTY INCLUDE_DIRECTORIES "${folder}")
    endif()
  endforeach()
endfunction()
