# spdk_io::asio and spdk_io::boost_asio: the adapters for standalone Asio and for Boost.Asio, each
# where its headers are found.
spdk_io_find_asios()
foreach(asio IN ITEMS asio boost_asio)
  string(TOUPPER ${asio} prefix)
  if(SPDK_IO_${prefix}_INCLUDE_DIR)
    add_library(spdk_io_${asio} INTERFACE)
    add_library(spdk_io::${asio} ALIAS spdk_io_${asio})
    spdk_io_use_asio(spdk_io_${asio} ${asio} spdk_io)
  endif()
endforeach()
