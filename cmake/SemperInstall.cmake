# What `cmake --install` puts where besides the targets themselves, so that find_package(semper) and
# pkg-config find them, whole or room by room. All files are relocatable: they work under any DESTDIR and
# prefix.
include(CMakePackageConfigHelpers)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/semper")

# The name under which users know a room.
function(semper_component_name out room)
  if(room STREQUAL "facade")
    set(room semper)
  endif()
  set(${out} ${room} PARENT_SCOPE)
endfunction()

# The package of CMake that defines a target we link. A new one has to be added here.
set(linked_targets tl::expected nlohmann_json::nlohmann_json spdlog::spdlog Asio::Asio Threads::Threads
    Liburing::Liburing SQLite::SQLite3 gRPC::grpc++ protobuf::libprotobuf GTest::gtest Blkid::Blkid Cctz::Cctz)
set(linked_packages tl-expected nlohmann_json spdlog Asio Threads
    Liburing SQLite3 gRPC Protobuf GTest Blkid Cctz)
function(semper_package_of out target)
  list(FIND linked_targets "${target}" at)
  set(${out} "" PARENT_SCOPE)
  if(at GREATER_EQUAL 0)
    list(GET linked_packages ${at} package)
    set(${out} ${package} PARENT_SCOPE)
  elseif(target MATCHES "::")
    message(FATAL_ERROR "SemperInstall.cmake does not know which package has ${target}")
  endif()
endfunction()

get_property(components GLOBAL PROPERTY SEMPER_COMPONENTS)
# The front door comes behind the rooms that it opens; `testing` is declared after it.
set(SEMPER_PACKAGE_ROOMS "")
set(SEMPER_PACKAGE_NEEDS "")
foreach(room IN LISTS components)
  semper_component_name(name ${room})
  list(APPEND SEMPER_PACKAGE_ROOMS ${name})
  get_property(depends GLOBAL PROPERTY SEMPER_COMPONENT_NEEDS_${room})
  get_property(links GLOBAL PROPERTY SEMPER_COMPONENT_LINKS_${room})
  set(needs "")
  foreach(dependency IN LISTS depends)
    if(dependency IN_LIST components)
      list(APPEND needs ${dependency})
    endif()
  endforeach()
  set(packages "")
  foreach(target IN LISTS links)
    semper_package_of(package "${target}")
    list(APPEND packages ${package})
  endforeach()
  list(REMOVE_DUPLICATES packages)
  set(needs_of_${room} ${needs})
  set(packages_of_${room} ${packages})
  string(APPEND SEMPER_PACKAGE_NEEDS
         "set(semper_${name}_NEEDS \"${needs}\")\nset(semper_${name}_PACKAGES \"${packages}\")\n")
  install(EXPORT semper_${room}_targets NAMESPACE semper:: DESTINATION "${package_dir}"
          FILE semper_${name}_targets.cmake)
endforeach()

set(SEMPER_PACKAGE_APART ${SEMPER_ROOMS_APART})
configure_package_config_file(
  "${CMAKE_CURRENT_LIST_DIR}/semperConfig.cmake.in" "${PROJECT_BINARY_DIR}/semperConfig.cmake"
  INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/semperConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/semperConfig.cmake"
              "${PROJECT_BINARY_DIR}/semperConfigVersion.cmake"
              "${CMAKE_CURRENT_LIST_DIR}/FindAsio.cmake"
              "${CMAKE_CURRENT_LIST_DIR}/FindBlkid.cmake"
              "${CMAKE_CURRENT_LIST_DIR}/FindCctz.cmake"
              "${CMAKE_CURRENT_LIST_DIR}/FindLiburing.cmake"
        DESTINATION "${package_dir}")
install(FILES "${PROJECT_SOURCE_DIR}/tools/gdb/semper_printers.py"
        DESTINATION "${CMAKE_INSTALL_DATADIR}/semper/gdb")

# pkg-config: semper-ROOM.pc for each room, and semper.pc for all of them. Libraries are static by default,
# so what they use is named for every link and not for --static alone. What the headers of gRPC and
# protobuf need of other libraries only their own files know.
cmake_path(SET prefix_path "/prefix")
cmake_path(APPEND prefix_path "${CMAKE_INSTALL_LIBDIR}" "pkgconfig" OUTPUT_VARIABLE pkgconfig_path)
cmake_path(RELATIVE_PATH prefix_path BASE_DIRECTORY "${pkgconfig_path}"
           OUTPUT_VARIABLE SEMPER_PREFIX_FROM_PKGCONFIG)
set(link_of_spdlog "-lspdlog -lfmt")
set(link_of_Threads "-pthread")
set(link_of_Liburing "-luring")
set(link_of_SQLite3 "-lsqlite3")
set(link_of_Blkid "-lblkid")
set(link_of_Cctz "-lcctz")
set(file_of_gRPC "grpc++")
set(file_of_Protobuf "protobuf")
# See backends/etcd/registration.cc.
set(options_of_etcd "-Wl,--undefined=semper_backend_etcd")
set(flags_of_Asio " -DASIO_STANDALONE -DASIO_NO_DEPRECATED -DASIO_DISABLE_STD_ALIGNED_ALLOC")
list(REMOVE_ITEM components testing)
foreach(room IN LISTS components)
  semper_component_name(name ${room})
  if(room STREQUAL "facade")
    set(SEMPER_PKGCONFIG_NAME semper)
    set(SEMPER_PKGCONFIG_DESCRIPTION "${PROJECT_DESCRIPTION}")
  else()
    set(SEMPER_PKGCONFIG_NAME semper-${room})
    set(SEMPER_PKGCONFIG_DESCRIPTION "${PROJECT_DESCRIPTION}: the room ${room} alone")
  endif()
  set(libs "")
  get_target_property(type semper_${room} TYPE)
  if(NOT type STREQUAL "INTERFACE_LIBRARY")
    get_target_property(output semper_${room} OUTPUT_NAME)
    set(libs "${options_of_${room}} -L\${libdir} -l$<IF:$<BOOL:${output}>,${output},semper_${room}>")
  endif()
  # Dependents first, for the linker.
  set(requires ${needs_of_${room}})
  list(REVERSE requires)
  list(TRANSFORM requires PREPEND "semper-")
  set(SEMPER_PKGCONFIG_CFLAGS "")
  foreach(package IN LISTS packages_of_${room})
    list(APPEND libs ${link_of_${package}})
    list(APPEND requires ${file_of_${package}})
    string(APPEND SEMPER_PKGCONFIG_CFLAGS "${flags_of_${package}}")
  endforeach()
  list(JOIN libs " " SEMPER_PKGCONFIG_LIBS)
  list(JOIN requires ", " SEMPER_PKGCONFIG_REQUIRES)
  set(file "${PROJECT_BINARY_DIR}/pkgconfig/${SEMPER_PKGCONFIG_NAME}.pc")
  configure_file("${CMAKE_CURRENT_LIST_DIR}/semper.pc.in" "${file}.configured" @ONLY)
  file(GENERATE OUTPUT "${file}" INPUT "${file}.configured")
  install(FILES "${file}" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
endforeach()

# Everything that is installed, and nothing else.
get_property(product GLOBAL PROPERTY SEMPER_PRODUCT)
add_custom_target(semper_product)
add_dependencies(semper_product ${product})
