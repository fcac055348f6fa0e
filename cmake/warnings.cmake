# Warnings for the project's own targets; errors only when this is the top-level project.
function(spdk_io_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow
    -Wnon-virtual-dtor -Woverloaded-virtual $<$<BOOL:${SPDK_IO_WERROR}>:-Werror>)
endfunction()
