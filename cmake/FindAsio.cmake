# Finds standalone Asio (Debian: libasio-dev, which ships headers and neither a CMake nor a
# pkg-config file) and defines Asio::Asio. Installed beside semperConfig.cmake, which uses it.
find_path(Asio_INCLUDE_DIR NAMES asio.hpp)
if(Asio_INCLUDE_DIR AND EXISTS "${Asio_INCLUDE_DIR}/asio/version.hpp")
  file(STRINGS "${Asio_INCLUDE_DIR}/asio/version.hpp" asio_version_line
       REGEX "^#define ASIO_VERSION [0-9]+")
  string(REGEX MATCH "[0-9]+" asio_version_number "${asio_version_line}")
  if(asio_version_number)
    math(EXPR asio_major "${asio_version_number} / 100000")
    math(EXPR asio_minor "${asio_version_number} / 100 % 1000")
    math(EXPR asio_patch "${asio_version_number} % 100")
    set(Asio_VERSION "${asio_major}.${asio_minor}.${asio_patch}")
  endif()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Asio
  REQUIRED_VARS Asio_INCLUDE_DIR
  VERSION_VAR Asio_VERSION
  REASON_FAILURE_MESSAGE "standalone Asio's asio.hpp was not found (Debian package libasio-dev)")
mark_as_advanced(Asio_INCLUDE_DIR)

if(Asio_FOUND AND NOT TARGET Asio::Asio)
  add_library(Asio::Asio INTERFACE IMPORTED)
  # Without aligned_alloc, coroutine frames come from operator new: glibc keeps freed blocks of that
  # for the next one, and a program may bring an allocator of its own.
  # Asio 1.22 knows only of g++ that it has coroutines.
  set_target_properties(Asio::Asio PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${Asio_INCLUDE_DIR}"
    INTERFACE_COMPILE_DEFINITIONS "ASIO_STANDALONE;ASIO_NO_DEPRECATED;ASIO_DISABLE_STD_ALIGNED_ALLOC;$<$<CXX_COMPILER_ID:Clang>:ASIO_HAS_CO_AWAIT>;$<$<CXX_COMPILER_ID:Clang>:ASIO_HAS_STD_COROUTINE>")
endif()
