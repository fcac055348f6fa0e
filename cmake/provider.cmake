# Chooses who provides SPDK's C API and wraps it in the target spdk_io::provider: headers and
# libraries, for code that calls the C API itself.
# SPDK is found with pkg-config, never downloaded; without it, lite (in lite/) stands in.
if(NOT SPDK_IO_PROVIDER MATCHES "^(auto|spdk|lite)$")
  message(FATAL_ERROR "SPDK_IO_PROVIDER is \"${SPDK_IO_PROVIDER}\": use auto, spdk or lite")
endif()

if(NOT SPDK_IO_SPDK_LINKAGE MATCHES "^(auto|shared|static)$")
  message(FATAL_ERROR
    "SPDK_IO_SPDK_LINKAGE is \"${SPDK_IO_SPDK_LINKAGE}\": use auto, shared or static")
endif()

set(SPDK_IO_PROVIDER_NAME lite)
if(NOT SPDK_IO_PROVIDER STREQUAL "lite")
  spdk_io_find_spdk()
  if(SPDK_IO_SPDK_FOUND)
    set(SPDK_IO_PROVIDER_NAME spdk)
  elseif(SPDK_IO_PROVIDER STREQUAL "spdk")
    message(FATAL_ERROR
      "SPDK_IO_PROVIDER=spdk, but pkg-config does not find ${spdk_io_spdk_wanted}. Install SPDK "
      "as its documentation says, put its lib/pkgconfig into PKG_CONFIG_PATH, "
      "or configure with -DSPDK_IO_PROVIDER=lite.")
  endif()
endif()

add_library(spdk_io_provider INTERFACE)
add_library(spdk_io::provider ALIAS spdk_io_provider)
# SPDK's archives inside our shared library: whoever links that must not link them once more.
set(spdk_io_spdk_embedded FALSE)
set(spdk_io_spdk_linkage "")
if(SPDK_IO_PROVIDER_NAME STREQUAL "spdk")
  set(spdk_io_spdk_linkage ${SPDK_IO_SPDK_LINKAGE})
  spdk_io_choose_spdk_linkage(spdk_io_spdk_linkage)
  set(spdk_io_spdk_has_archives FALSE)
  foreach(dir IN LISTS SPDK_IO_SPDK_LIBRARY_DIRS)
    if(EXISTS ${dir}/libspdk_event_bdev.a)
      set(spdk_io_spdk_has_archives TRUE)
    endif()
  endforeach()
  spdk_io_spdk_link_options(spdk_io_spdk_options ${spdk_io_spdk_linkage})
  if(spdk_io_spdk_linkage STREQUAL "static" AND BUILD_SHARED_LIBS)
    set(spdk_io_spdk_embedded TRUE)
  else()
    target_link_options(spdk_io_provider INTERFACE "${spdk_io_spdk_options}")
  endif()
  target_include_directories(spdk_io_provider SYSTEM INTERFACE ${SPDK_IO_SPDK_INCLUDE_DIRS})
  message(STATUS "spdk-io: provider is SPDK, from ${SPDK_IO_SPDK_LIBRARY_DIRS} "
    "(${spdk_io_spdk_linkage} libraries)")
elseif(NOT EXISTS ${PROJECT_SOURCE_DIR}/lite/CMakeLists.txt)
  message(FATAL_ERROR "spdk-io: pkg-config finds no SPDK, and lite/ is not in this source tree")
else()
  add_subdirectory(${PROJECT_SOURCE_DIR}/lite)
  target_link_libraries(spdk_io_provider INTERFACE spdk_io::lite)
  message(STATUS "spdk-io: provider is lite, the stand-in in lite/ (it is not SPDK)")
endif()
