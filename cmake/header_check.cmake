# Every public header compiles alone: one source for each, which includes just that header.
find_package(fmt QUIET)
add_custom_target(header_check ALL)

# spdk_io_check_headers(<name> LANGUAGES <C|CXX>... FOLDER <dir> HEADERS <path in dir>...
#                       [LIBRARIES <targets>...])
function(spdk_io_check_headers name)
  cmake_parse_arguments(arg "" "FOLDER" "LANGUAGES;HEADERS;LIBRARIES" ${ARGN})
  set(sources "")
  foreach(header IN LISTS arg_HEADERS)
    string(MAKE_C_IDENTIFIER ${header} stem)
    foreach(language IN LISTS arg_LANGUAGES)
      string(REPLACE CXX cpp extension ${language})
      string(TOLOWER ${extension} extension)
      set(source ${PROJECT_BINARY_DIR}/header_check/${name}/${stem}.${extension})
      set(content "#include <${header}>\n")
      if(language STREQUAL "C")
        string(APPEND content "typedef int not_empty;\n")  # as ISO C wants it
      endif()
      file(CONFIGURE OUTPUT ${source} CONTENT "${content}" @ONLY)
      list(APPEND sources ${source})
    endforeach()
  endforeach()
  add_library(header_check_${name} OBJECT ${sources})
  target_compile_features(header_check_${name} PRIVATE cxx_std_23)
  set_target_properties(header_check_${name} PROPERTIES CXX_CLANG_TIDY "")
  # Not as a system folder: these are our headers, warnings and all.
  target_include_directories(header_check_${name} BEFORE PRIVATE ${arg_FOLDER})
  target_link_libraries(header_check_${name} PRIVATE ${arg_LIBRARIES})
  spdk_io_warnings(header_check_${name})
  target_compile_options(header_check_${name} PRIVATE -O0 -g0)
  add_dependencies(header_check header_check_${name})
endfunction()

# Whatever lies there, but in detail/, is public, and checked.
file(GLOB_RECURSE headers RELATIVE ${PROJECT_SOURCE_DIR}/include CONFIGURE_DEPENDS
  ${PROJECT_SOURCE_DIR}/include/spdk_io/*.hpp)
list(FILTER headers EXCLUDE REGEX "/detail/")
foreach(optional IN ITEMS spdk_io/adapters/asio.hpp spdk_io/adapters/boost_asio.hpp
        spdk_io/adapters/libuv.hpp spdk_io/adapters/glib.hpp spdk_io/fmt.hpp)
  list(REMOVE_ITEM headers ${optional})
endforeach()
spdk_io_check_headers(core LANGUAGES CXX FOLDER ${PROJECT_SOURCE_DIR}/include
  HEADERS ${headers} LIBRARIES spdk_io::spdk_io)
# (execution.hpp is one of those above as well: without an implementation of std::execution.)
foreach(adapter IN ITEMS asio boost_asio libuv glib execution)
  if(TARGET spdk_io::${adapter})
    spdk_io_check_headers(${adapter} LANGUAGES CXX FOLDER ${PROJECT_SOURCE_DIR}/include
      HEADERS spdk_io/adapters/${adapter}.hpp LIBRARIES spdk_io::${adapter})
  endif()
endforeach()
if(TARGET fmt::fmt)
  spdk_io_check_headers(fmt LANGUAGES CXX FOLDER ${PROJECT_SOURCE_DIR}/include
    HEADERS spdk_io/fmt.hpp LIBRARIES spdk_io::spdk_io fmt::fmt)
endif()
if(TARGET spdk_io_lite)
  file(GLOB headers RELATIVE ${PROJECT_SOURCE_DIR}/lite/include CONFIGURE_DEPENDS
    ${PROJECT_SOURCE_DIR}/lite/include/spdk/*.h)
  spdk_io_check_headers(lite LANGUAGES C CXX FOLDER ${PROJECT_SOURCE_DIR}/lite/include
    HEADERS ${headers})
  target_compile_definitions(header_check_lite PRIVATE _GNU_SOURCE)
endif()
