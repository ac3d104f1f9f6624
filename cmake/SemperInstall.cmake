# What `cmake --install` puts where besides the targets themselves, so that find_package(semper) and
# pkg-config find them. Both files are relocatable: they work under any DESTDIR and prefix.
include(CMakePackageConfigHelpers)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/semper")
if(NOT BUILD_SHARED_LIBS)
  set(SEMPER_IS_STATIC ON)
endif()

configure_package_config_file(
  "${CMAKE_CURRENT_LIST_DIR}/semperConfig.cmake.in" "${PROJECT_BINARY_DIR}/semperConfig.cmake"
  INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/semperConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/semperConfig.cmake"
              "${PROJECT_BINARY_DIR}/semperConfigVersion.cmake"
              "${CMAKE_CURRENT_LIST_DIR}/FindAsio.cmake"
              "${CMAKE_CURRENT_LIST_DIR}/FindBlkid.cmake"
              "${CMAKE_CURRENT_LIST_DIR}/FindLiburing.cmake"
        DESTINATION "${package_dir}")
install(EXPORT semperTargets NAMESPACE semper:: DESTINATION "${package_dir}")
if(TARGET semper_testing)
  install(EXPORT semperTestingTargets NAMESPACE semper:: DESTINATION "${package_dir}")
endif()

# pkg-config: the libraries that have code, dependents first. They are static by default, so what they
# use is named for every link and not for --static alone.
get_property(rooms GLOBAL PROPERTY SEMPER_ROOMS)
list(REMOVE_ITEM rooms testing)
list(REVERSE rooms)
set(SEMPER_PKGCONFIG_LIBS "")
foreach(room IN ITEMS facade ${rooms})
  if(TARGET semper_${room})
    get_target_property(type semper_${room} TYPE)
    if(NOT type STREQUAL "INTERFACE_LIBRARY")
      get_target_property(output semper_${room} OUTPUT_NAME)
      list(APPEND SEMPER_PKGCONFIG_LIBS "-l$<IF:$<BOOL:${output}>,${output},semper_${room}>")
    endif()
  endif()
endforeach()
set(dependencies -lspdlog -lfmt -luring -lblkid -pthread)
if(SEMPER_BACKEND_SQLITE)
  list(PREPEND dependencies -lsqlite3)
endif()
# What gRPC's own headers need of other libraries only its pkg-config file knows.
set(SEMPER_PKGCONFIG_REQUIRES "")
if(SEMPER_RPC)
  set(SEMPER_PKGCONFIG_REQUIRES "grpc++ protobuf")
endif()
list(JOIN SEMPER_PKGCONFIG_LIBS " " SEMPER_PKGCONFIG_LIBS)
list(JOIN dependencies " " SEMPER_PKGCONFIG_DEPENDENCIES)
cmake_path(SET prefix_path "/prefix")
cmake_path(APPEND prefix_path "${CMAKE_INSTALL_LIBDIR}" "pkgconfig" OUTPUT_VARIABLE pkgconfig_path)
cmake_path(RELATIVE_PATH prefix_path BASE_DIRECTORY "${pkgconfig_path}"
           OUTPUT_VARIABLE SEMPER_PREFIX_FROM_PKGCONFIG)
configure_file("${CMAKE_CURRENT_LIST_DIR}/semper.pc.in" "${PROJECT_BINARY_DIR}/semper.pc.configured"
               @ONLY)
file(GENERATE OUTPUT "${PROJECT_BINARY_DIR}/semper.pc"
     INPUT "${PROJECT_BINARY_DIR}/semper.pc.configured")
install(FILES "${PROJECT_BINARY_DIR}/semper.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")

# Everything that is installed, and nothing else.
get_property(product GLOBAL PROPERTY SEMPER_PRODUCT)
add_custom_target(product)
add_dependencies(product ${product})
