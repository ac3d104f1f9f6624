# What is not built by default and needs a tool of its own: the reference, and clang-tidy over what changed.
find_program(SEMPER_DOXYGEN doxygen)
mark_as_advanced(SEMPER_DOXYGEN)
if(SEMPER_DOXYGEN)
  set(SEMPER_REFERENCE "${PROJECT_BINARY_DIR}/reference")
  configure_file("${PROJECT_SOURCE_DIR}/tools/reference/Doxyfile.in" "${PROJECT_BINARY_DIR}/Doxyfile" @ONLY)
  file(MAKE_DIRECTORY "${SEMPER_REFERENCE}")
  # Fails on a warning: a comment that Doxygen cannot read, or a page that would be lost.
  add_custom_target(semper_reference COMMAND "${SEMPER_DOXYGEN}" "${PROJECT_BINARY_DIR}/Doxyfile" VERBATIM)
  if(SEMPER_BUILD_TESTS)
    add_test(NAME reference.every_public_header_has_a_page
      COMMAND "${PROJECT_SOURCE_DIR}/tools/reference/check" "${SEMPER_DOXYGEN}" "${PROJECT_BINARY_DIR}/Doxyfile"
              "${SEMPER_REFERENCE}")
    set_tests_properties(reference.every_public_header_has_a_page PROPERTIES LABELS tidy TIMEOUT 120)
  endif()
endif()

add_custom_target(semper_lint COMMAND "${PROJECT_SOURCE_DIR}/tools/lint" "${PROJECT_BINARY_DIR}"
                  USES_TERMINAL VERBATIM)
