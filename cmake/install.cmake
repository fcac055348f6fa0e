# What `cmake --install` puts where: libraries, headers, the spdk-io command, and the package
# files for find_package(spdk_io) and pkg-config.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(spdk_io_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/spdk_io)
# lite's headers are named like SPDK's: in a folder of their own they never come in their place.
set(spdk_io_lite_include_dir ${CMAKE_INSTALL_INCLUDEDIR}/spdk_io_lite)

set(spdk_io_shared OFF)
if(BUILD_SHARED_LIBS)
  set(spdk_io_shared ON)
endif()
set(spdk_io_installed spdk_io)
if(TARGET spdk_io_lite)
  list(APPEND spdk_io_installed spdk_io_lite)
  target_include_directories(spdk_io_lite
    SYSTEM INTERFACE $<INSTALL_INTERFACE:${spdk_io_lite_include_dir}>)
endif()
# While the version begins with 0, each minor version has an ABI of its own.
set_target_properties(${spdk_io_installed} PROPERTIES
  VERSION ${PROJECT_VERSION}
  SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
  INSTALL_RPATH $ORIGIN)
install(TARGETS ${spdk_io_installed} EXPORT spdk_io-targets
  INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

install(DIRECTORY include/spdk_io DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.hpp")
install(FILES ${PROJECT_BINARY_DIR}/include/spdk_io/abi.hpp
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/spdk_io)
if(TARGET spdk_io_lite)
  install(DIRECTORY lite/include/spdk DESTINATION ${spdk_io_lite_include_dir}
    FILES_MATCHING PATTERN "*.h")
endif()

if(TARGET spdk-io-tool)
  file(RELATIVE_PATH spdk_io_libraries_from_bin
    ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
  set_target_properties(spdk-io-tool PROPERTIES
    INSTALL_RPATH $ORIGIN/${spdk_io_libraries_from_bin})
  install(TARGETS spdk-io-tool)
endif()

# --- find_package(spdk_io) ----------------------------------------------------------------------
install(EXPORT spdk_io-targets NAMESPACE spdk_io:: DESTINATION ${spdk_io_package_dir})
configure_package_config_file(cmake/spdk_io-config.cmake.in
  ${PROJECT_BINARY_DIR}/package/spdk_io-config.cmake INSTALL_DESTINATION ${spdk_io_package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/package/spdk_io-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES
  ${PROJECT_BINARY_DIR}/package/spdk_io-config.cmake
  ${PROJECT_BINARY_DIR}/package/spdk_io-config-version.cmake
  DESTINATION ${spdk_io_package_dir})
install(FILES cmake/dependencies.cmake
  DESTINATION ${spdk_io_package_dir} RENAME spdk_io-dependencies.cmake)

# --- pkg-config ---------------------------------------------------------------------------------
# What an archive needs, its users link; what a shared library needs, it brings itself.
set(spdk_io_pc_dir ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH spdk_io_pc_prefix ${spdk_io_pc_dir} ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" spdk_io_pc_prefix "${spdk_io_pc_prefix}")
foreach(kind IN ITEMS LIBDIR INCLUDEDIR)
  file(RELATIVE_PATH spdk_io_pc_${kind} ${CMAKE_INSTALL_PREFIX} ${CMAKE_INSTALL_FULL_${kind}})
endforeach()
set(spdk_io_pc_needs "")           # packages that must be there
set(spdk_io_pc_libs "-lspdk_io")   # what users link
set(spdk_io_pc_libs_private "")
if(SPDK_IO_PROVIDER_NAME STREQUAL "lite")
  set(spdk_io_pc_needs liburing)
  set(spdk_io_pc_own_libs "-lspdk_io_lite")
else()
  # pkg-config cannot put flags around what Requires brings, and older SPDKs' spdk_syslibs tells
  # only with --static what is always needed: all is named here.
  string(REGEX REPLACE "^SHELL:" "" spdk_io_pc_own_libs "${spdk_io_spdk_options}")
  if(spdk_io_spdk_linkage STREQUAL "shared")
    # For the check that they are there. With --static their libraries are moved to the end, so
    # that the flag must hold until then.
    set(spdk_io_pc_needs ${spdk_io_spdk_modules} spdk_syslibs)
    string(REPLACE "--push-state," "" spdk_io_pc_own_libs "${spdk_io_pc_own_libs}")
    string(REPLACE " -Wl,--pop-state" "" spdk_io_pc_own_libs "${spdk_io_pc_own_libs}")
  endif()
endif()
list(JOIN spdk_io_pc_needs " " spdk_io_pc_needs)
set(spdk_io_pc_requires "Requires.private: ${spdk_io_pc_needs}")
if(BUILD_SHARED_LIBS)
  set(spdk_io_pc_libs_private "Libs.private: ${spdk_io_pc_own_libs} -pthread")
else()
  string(APPEND spdk_io_pc_libs " ${spdk_io_pc_own_libs} -pthread")
  if(SPDK_IO_PROVIDER_NAME STREQUAL "lite")
    set(spdk_io_pc_requires "Requires: ${spdk_io_pc_needs}")
  endif()
endif()
configure_file(cmake/spdk_io.pc.in ${PROJECT_BINARY_DIR}/package/spdk_io.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/package/spdk_io.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
if(TARGET spdk_io_lite)
  set(spdk_io_lite_pc_requires "Requires: liburing")
  set(spdk_io_lite_pc_libs "-lspdk_io_lite -pthread -lstdc++")
  if(BUILD_SHARED_LIBS)
    set(spdk_io_lite_pc_requires "Requires.private: liburing")
    set(spdk_io_lite_pc_libs "-lspdk_io_lite")
  endif()
  configure_file(cmake/spdk_io_lite.pc.in ${PROJECT_BINARY_DIR}/package/spdk_io_lite.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/package/spdk_io_lite.pc
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endif()
