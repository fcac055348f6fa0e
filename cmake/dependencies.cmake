# What spdk-io needs besides its own code, found and put into targets. The one list of it: the
# build includes this file, and so does the installed package.

find_package(Threads REQUIRED)

# --- SPDK -------------------------------------------------------------------------------------
# The bdev subsystem brings the device modules, which register themselves in constructors: a
# linker that drops libraries without undefined references would drop them too.
# spdk_event is the application framework.
set(spdk_io_spdk_modules spdk_event spdk_event_bdev spdk_bdev spdk_thread spdk_env_dpdk)
list(JOIN spdk_io_spdk_modules ", " spdk_io_spdk_wanted)

# Looks for SPDK with pkg-config. Sets SPDK_IO_SPDK_FOUND, SPDK_IO_SPDK_*, SPDK_IO_SYSLIBS_*, and
# the libraries' versions as one text, spdk_io_spdk_versions.
macro(spdk_io_find_spdk)
  find_package(PkgConfig QUIET)
  set(SPDK_IO_SPDK_FOUND FALSE)
  if(PkgConfig_FOUND)
    # Asked anew each time: PKG_CONFIG_PATH may point to another SPDK than when last configured.
    unset(__pkg_config_checked_SPDK_IO_SPDK CACHE)
    unset(__pkg_config_checked_SPDK_IO_SYSLIBS CACHE)
    pkg_check_modules(SPDK_IO_SPDK QUIET ${spdk_io_spdk_modules})
    pkg_check_modules(SPDK_IO_SYSLIBS QUIET spdk_syslibs)
    if(NOT SPDK_IO_SYSLIBS_FOUND)
      set(SPDK_IO_SPDK_FOUND FALSE)
    endif()
  endif()
  set(spdk_io_spdk_versions "")
  foreach(spdk_io_module IN LISTS spdk_io_spdk_modules)
    list(APPEND spdk_io_spdk_versions "${spdk_io_module} ${SPDK_IO_SPDK_${spdk_io_module}_VERSION}")
  endforeach()
  list(JOIN spdk_io_spdk_versions ", " spdk_io_spdk_versions)
endmacro()

# After spdk_io_find_spdk(): sets <linkage> to shared or static, whichever is there (shared if
# both are), unless it holds one of them already.
function(spdk_io_choose_spdk_linkage linkage)
  if("${${linkage}}" MATCHES "^(shared|static)$")
    return()
  endif()
  set(found static)
  foreach(dir IN LISTS SPDK_IO_SPDK_LIBRARY_DIRS)
    if(EXISTS ${dir}/libspdk_event_bdev.so)
      set(found shared)
    endif()
  endforeach()
  set(${linkage} ${found} PARENT_SCOPE)
endfunction()

# After spdk_io_find_spdk(): the linker's options for all of SPDK, as one item, so that CMake
# neither reorders nor removes what stands between the flags. No module may be dropped:
# --no-as-needed for shared libraries, --whole-archive for archives.
function(spdk_io_spdk_link_options result linkage)
  set(libraries "")
  foreach(flag IN LISTS SPDK_IO_SPDK_LDFLAGS)
    if(linkage STREQUAL "static" AND flag MATCHES "^-l((spdk|rte)_.*)$")
      set(name ${CMAKE_MATCH_1})
      set(archive "")
      foreach(dir IN LISTS SPDK_IO_SPDK_LIBRARY_DIRS)
        if(NOT archive AND EXISTS ${dir}/lib${name}.a)
          set(archive ${dir}/lib${name}.a)
        endif()
      endforeach()
      if(NOT archive)
        message(FATAL_ERROR "spdk-io: SPDK is to be linked statically, but there is no "
          "lib${name}.a in ${SPDK_IO_SPDK_LIBRARY_DIRS}. Install SPDK's static libraries, or use "
          "its shared ones (-DSPDK_IO_SPDK_LINKAGE=shared).")
      endif()
      list(APPEND libraries ${archive})
    else()
      list(APPEND libraries ${flag})
    endif()
  endforeach()
  list(REMOVE_DUPLICATES libraries)
  list(JOIN libraries " " libraries)
  set(system ${SPDK_IO_SYSLIBS_STATIC_LDFLAGS})
  list(JOIN system " " system)
  if(linkage STREQUAL "static")
    set(libraries "-Wl,--whole-archive ${libraries} -Wl,--no-whole-archive")
  endif()
  foreach(dir IN LISTS SPDK_IO_SPDK_LIBRARY_DIRS)
    string(APPEND system " -Wl,-rpath,${dir}")
  endforeach()
  set(${result}
    "SHELL:-Wl,--push-state,--no-as-needed ${libraries} ${system} -Wl,--pop-state" PARENT_SCOPE)
endfunction()

# --- lite -------------------------------------------------------------------------------------
# Archives do not carry what they need themselves.
macro(spdk_io_find_lite_libraries)
  find_package(PkgConfig QUIET)
  set(LIBURING_FOUND FALSE)
  if(PkgConfig_FOUND AND NOT TARGET PkgConfig::LIBURING)
    pkg_check_modules(LIBURING QUIET IMPORTED_TARGET liburing)
  elseif(TARGET PkgConfig::LIBURING)
    set(LIBURING_FOUND TRUE)
  endif()
endmacro()

# --- Asio -------------------------------------------------------------------------------------
# Sets SPDK_IO_ASIO_INCLUDE_DIR where standalone Asio's headers are found, and
# SPDK_IO_BOOST_ASIO_INCLUDE_DIR where Boost.Asio's are, of Boost 1.74 or later.
macro(spdk_io_find_asios)
  find_path(SPDK_IO_ASIO_INCLUDE_DIR asio/io_context.hpp)
  find_path(SPDK_IO_BOOST_ASIO_INCLUDE_DIR boost/asio/execution/context.hpp)
endmacro()

# What users of the adapter for <asio> compile with: asio, standalone, or boost_asio.
function(spdk_io_use_asio target asio core)
  string(TOUPPER ${asio} prefix)
  target_include_directories(${target} SYSTEM INTERFACE ${SPDK_IO_${prefix}_INCLUDE_DIR})
  if(asio STREQUAL "asio")
    target_compile_definitions(${target} INTERFACE ASIO_STANDALONE ASIO_NO_DEPRECATED)
  endif()
  # Asio 1.22 and older only recognise Clang's coroutines when told about them.
  target_compile_definitions(${target} INTERFACE
    $<$<CXX_COMPILER_ID:Clang>:${prefix}_HAS_CO_AWAIT ${prefix}_HAS_STD_COROUTINE>)
  target_link_libraries(${target} INTERFACE ${core})
endfunction()

# --- libuv, GLib --------------------------------------------------------------------------------
# Sets SPDK_IO_<LIBUV, GLIB>_FOUND where pkg-config finds the loop's library.
macro(spdk_io_find_libuv)
  spdk_io_find_loop(SPDK_IO_LIBUV libuv)
endmacro()
macro(spdk_io_find_glib)
  spdk_io_find_loop(SPDK_IO_GLIB glib-2.0)
endmacro()
macro(spdk_io_find_loop prefix module)
  find_package(PkgConfig QUIET)
  set(${prefix}_FOUND FALSE)
  if(TARGET PkgConfig::${prefix})
    set(${prefix}_FOUND TRUE)
  elseif(PkgConfig_FOUND)
    pkg_check_modules(${prefix} QUIET IMPORTED_TARGET ${module})
  endif()
endmacro()

# What users of these adapters compile and link with.
function(spdk_io_use_libuv target core)
  target_link_libraries(${target} INTERFACE ${core} PkgConfig::SPDK_IO_LIBUV)
endfunction()
function(spdk_io_use_glib target core)
  target_link_libraries(${target} INTERFACE ${core} PkgConfig::SPDK_IO_GLIB)
endfunction()

# --- std::execution -----------------------------------------------------------------------------
# Sets SPDK_IO_EXECUTION_NAME: standard, stdexec, beman, or own, which has no algorithms. With
# SPDK_IO_EXECUTION set to one of them, that one is taken.
macro(spdk_io_find_execution)
  set(SPDK_IO_EXECUTION_NAME own)
  if(SPDK_IO_EXECUTION AND NOT SPDK_IO_EXECUTION STREQUAL "auto")
    set(SPDK_IO_EXECUTION_NAME ${SPDK_IO_EXECUTION})
  else()
    include(CheckCXXSourceCompiles)
    check_cxx_source_compiles([[
      #include <version>
      #ifndef __cpp_lib_senders
      #error no senders
      #endif
      int main() {}
    ]] SPDK_IO_STANDARD_HAS_SENDERS)
    if(SPDK_IO_STANDARD_HAS_SENDERS)
      set(SPDK_IO_EXECUTION_NAME standard)
    endif()
  endif()
  if(SPDK_IO_EXECUTION_NAME MATCHES "^(own|stdexec)$" AND NOT SPDK_IO_EXECUTION STREQUAL "own")
    find_package(stdexec CONFIG QUIET)
    if(TARGET STDEXEC::stdexec)
      set(SPDK_IO_EXECUTION_NAME stdexec)
    endif()
  endif()
  # Beman.execution is written for later compilers.
  if(SPDK_IO_EXECUTION_NAME MATCHES "^(own|beman)$" AND NOT SPDK_IO_EXECUTION STREQUAL "own" AND
     NOT (CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 14))
    find_package(beman.execution CONFIG QUIET)
    if(TARGET beman::execution)
      set(SPDK_IO_EXECUTION_NAME beman)
    endif()
  endif()
  if((SPDK_IO_EXECUTION_NAME STREQUAL "stdexec" AND NOT TARGET STDEXEC::stdexec) OR
     (SPDK_IO_EXECUTION_NAME STREQUAL "beman" AND NOT TARGET beman::execution))
    message(FATAL_ERROR "spdk-io: SPDK_IO_EXECUTION is ${SPDK_IO_EXECUTION}, which find_package() "
      "does not find (or not for this compiler). Put its prefix into CMAKE_PREFIX_PATH.")
  endif()
endmacro()

function(spdk_io_use_execution target core)
  target_link_libraries(${target} INTERFACE ${core})
  if(SPDK_IO_EXECUTION_NAME STREQUAL "stdexec")
    target_link_libraries(${target} INTERFACE STDEXEC::stdexec)
    target_compile_definitions(${target} INTERFACE SPDK_IO_EXECUTION_STDEXEC)
  elseif(SPDK_IO_EXECUTION_NAME STREQUAL "beman")
    target_link_libraries(${target} INTERFACE beman::execution)
    target_compile_definitions(${target} INTERFACE SPDK_IO_EXECUTION_BEMAN)
  elseif(SPDK_IO_EXECUTION STREQUAL "own")
    target_compile_definitions(${target} INTERFACE SPDK_IO_EXECUTION_OWN)
  endif()
endfunction()
