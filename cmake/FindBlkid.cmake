# Finds libblkid (Debian: libblkid-dev, which ships a pkg-config file only) and defines Blkid::Blkid.
# Installed beside semperConfig.cmake, which uses it.
find_path(Blkid_INCLUDE_DIR NAMES blkid/blkid.h)
find_library(Blkid_LIBRARY NAMES blkid)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Blkid
  REQUIRED_VARS Blkid_LIBRARY Blkid_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "libblkid was not found (Debian package libblkid-dev)")
mark_as_advanced(Blkid_INCLUDE_DIR Blkid_LIBRARY)

if(Blkid_FOUND AND NOT TARGET Blkid::Blkid)
  add_library(Blkid::Blkid UNKNOWN IMPORTED)
  set_target_properties(Blkid::Blkid PROPERTIES
    IMPORTED_LOCATION "${Blkid_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${Blkid_INCLUDE_DIR}")
endif()
