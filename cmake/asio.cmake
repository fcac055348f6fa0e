# spdk_io::asio: the adapter for standalone Asio, where its headers are found.
find_path(SPDK_IO_ASIO_INCLUDE_DIR asio/io_context.hpp)
if(SPDK_IO_ASIO_INCLUDE_DIR)
  add_library(spdk_io_asio INTERFACE)
  add_library(spdk_io::asio ALIAS spdk_io_asio)
  target_include_directories(spdk_io_asio SYSTEM INTERFACE ${SPDK_IO_ASIO_INCLUDE_DIR})
  # Asio 1.22 only recognises Clang's coroutines when told about them.
  target_compile_definitions(spdk_io_asio INTERFACE ASIO_STANDALONE ASIO_NO_DEPRECATED
    $<$<CXX_COMPILER_ID:Clang>:ASIO_HAS_CO_AWAIT ASIO_HAS_STD_COROUTINE>)
  target_link_libraries(spdk_io_asio INTERFACE spdk_io)
endif()
