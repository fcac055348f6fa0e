# Chooses who provides SPDK's C API and wraps it in the target spdk_io_provider.
# SPDK is found with pkg-config, never downloaded; without it, lite (in lite/) stands in.
find_package(PkgConfig REQUIRED)

if(NOT SPDK_IO_PROVIDER MATCHES "^(auto|spdk|lite)$")
  message(FATAL_ERROR "SPDK_IO_PROVIDER is \"${SPDK_IO_PROVIDER}\": use auto, spdk or lite")
endif()

# The bdev subsystem brings the device modules, which register themselves in constructors: a
# linker that drops libraries without undefined references would drop them too.
# spdk_event is the application framework.
set(spdk_io_spdk_modules spdk_event spdk_event_bdev spdk_env_dpdk)

set(SPDK_IO_PROVIDER_NAME lite)
if(NOT SPDK_IO_PROVIDER STREQUAL "lite")
  pkg_check_modules(SPDK_IO_SPDK QUIET ${spdk_io_spdk_modules})
  if(SPDK_IO_SPDK_FOUND)
    set(SPDK_IO_PROVIDER_NAME spdk)
  elseif(SPDK_IO_PROVIDER STREQUAL "spdk")
    message(FATAL_ERROR
      "SPDK_IO_PROVIDER=spdk, but pkg-config does not find ${spdk_io_spdk_modules}. Install SPDK "
      "as its documentation says (shared libraries), put its lib/pkgconfig into PKG_CONFIG_PATH, "
      "or configure with -DSPDK_IO_PROVIDER=lite.")
  endif()
endif()

add_library(spdk_io_provider INTERFACE)
if(SPDK_IO_PROVIDER_NAME STREQUAL "spdk")
  execute_process(
    COMMAND ${PKG_CONFIG_EXECUTABLE} --libs --static spdk_syslibs
    OUTPUT_VARIABLE spdk_io_syslibs OUTPUT_STRIP_TRAILING_WHITESPACE
    COMMAND_ERROR_IS_FATAL ANY)
  separate_arguments(spdk_io_syslibs UNIX_COMMAND "${spdk_io_syslibs}")
  target_include_directories(spdk_io_provider SYSTEM INTERFACE ${SPDK_IO_SPDK_INCLUDE_DIRS})
  # One string, so that CMake neither reorders nor removes what stands between the two flags.
  list(JOIN SPDK_IO_SPDK_LDFLAGS " " spdk_io_libs)
  list(JOIN spdk_io_syslibs " " spdk_io_syslibs)
  target_link_options(spdk_io_provider INTERFACE
    "SHELL:-Wl,--no-as-needed ${spdk_io_libs} ${spdk_io_syslibs} -Wl,--as-needed")
  foreach(dir IN LISTS SPDK_IO_SPDK_LIBRARY_DIRS)
    target_link_options(spdk_io_provider INTERFACE "LINKER:-rpath,${dir}")
  endforeach()
  message(STATUS "spdk-io: provider is SPDK, from ${SPDK_IO_SPDK_LIBRARY_DIRS}")
elseif(NOT EXISTS ${PROJECT_SOURCE_DIR}/lite/CMakeLists.txt)
  message(FATAL_ERROR "spdk-io: pkg-config finds no SPDK, and lite/ is not in this source tree")
else()
  add_subdirectory(${PROJECT_SOURCE_DIR}/lite)
  target_link_libraries(spdk_io_provider INTERFACE spdk_io::lite)
  message(STATUS "spdk-io: provider is lite, the stand-in in lite/ (it is not SPDK)")
endif()
