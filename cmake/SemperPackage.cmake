# `make package`: two Debian packages by CPack, semper (the tool, its manual and completions) and
# libsemper-dev (headers, archives, files for CMake and pkg-config). tests/package installs and removes them.
#
# For a machine of one's own, not for Debian's archive: there is no source package, and nothing is signed.
# What is built is packaged; `make package` builds it first.
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)
find_program(SEMPER_DPKG_SHLIBDEPS dpkg-shlibdeps)
mark_as_advanced(SEMPER_DPKG_SHLIBDEPS)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME semper)
set(CPACK_PACKAGE_VERSION "${PROJECT_VERSION}")
set(CPACK_PACKAGE_CONTACT "The Semper authors <semper@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_COMPONENTS_ALL development tool)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
# Archives with debug information are large, and xz takes minutes for them.
set(CPACK_DEBIAN_COMPRESSION_TYPE gzip)

set(CPACK_DEBIAN_TOOL_PACKAGE_NAME semper)
set(CPACK_DEBIAN_TOOL_PACKAGE_SECTION database)
set(CPACK_COMPONENT_TOOL_DESCRIPTION
    "The command line tool of Semper: looks into stores, rings and journals, and sends to entities.")
if(SEMPER_DPKG_SHLIBDEPS)
  set(CPACK_DEBIAN_TOOL_PACKAGE_SHLIBDEPS ON)
endif()

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libsemper-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION
    "Headers and archives of Semper, a C++20 library for durable servers, rings and connections.")
# What the headers and the archives need. Those of single rooms are recommended: find_package asks for them
# where a program names the room.
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS
    "libasio-dev, libexpected-dev, libspdlog-dev, libfmt-dev, nlohmann-json3-dev")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_RECOMMENDS
    "liburing-dev, libblkid-dev, libcctz-dev, tzdata, libsqlite3-dev, libgrpc++-dev, protobuf-compiler-grpc, libprotobuf-dev, libgtest-dev, pkg-config")
include(CPack)
