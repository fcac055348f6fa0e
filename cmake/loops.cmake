# spdk_io::libuv: the adapter for libuv, where pkg-config finds it.
spdk_io_find_libuv()
if(SPDK_IO_LIBUV_FOUND)
  add_library(spdk_io_libuv INTERFACE)
  add_library(spdk_io::libuv ALIAS spdk_io_libuv)
  spdk_io_use_libuv(spdk_io_libuv spdk_io)
endif()
