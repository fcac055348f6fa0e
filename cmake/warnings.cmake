# Warnings for the project's own targets; errors only when this is the top-level project.
function(spdk_io_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow
    "$<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor;-Woverloaded-virtual>"
    $<$<BOOL:${SPDK_IO_WERROR}>:-Werror>
    # GCC 12 sees overlapping copies in std::string's operator+ where there are none.
    $<$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict>)
endfunction()
