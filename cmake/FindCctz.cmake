# Finds cctz (Debian: libcctz-dev, which ships no file for CMake) and defines Cctz::Cctz.
# Installed beside semperConfig.cmake, which uses it.
find_path(Cctz_INCLUDE_DIR NAMES cctz/time_zone.h)
find_library(Cctz_LIBRARY NAMES cctz)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Cctz
  REQUIRED_VARS Cctz_LIBRARY Cctz_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "cctz was not found (Debian package libcctz-dev)")
mark_as_advanced(Cctz_INCLUDE_DIR Cctz_LIBRARY)

if(Cctz_FOUND AND NOT TARGET Cctz::Cctz)
  add_library(Cctz::Cctz UNKNOWN IMPORTED)
  set_target_properties(Cctz::Cctz PROPERTIES
    IMPORTED_LOCATION "${Cctz_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${Cctz_INCLUDE_DIR}")
endif()
