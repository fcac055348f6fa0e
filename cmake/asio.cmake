# spdk_io::asio: the adapter for standalone Asio, where its headers are found.
spdk_io_find_asio()
if(SPDK_IO_ASIO_INCLUDE_DIR)
  add_library(spdk_io_asio INTERFACE)
  add_library(spdk_io::asio ALIAS spdk_io_asio)
  spdk_io_use_asio(spdk_io_asio spdk_io)
endif()
