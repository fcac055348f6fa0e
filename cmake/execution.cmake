# spdk_io::execution: the adapter for std::execution, whoever provides that; see
# adapters/execution.hpp.
spdk_io_find_execution()
add_library(spdk_io_execution INTERFACE)
add_library(spdk_io::execution ALIAS spdk_io_execution)
spdk_io_use_execution(spdk_io_execution spdk_io)
message(STATUS "spdk-io: std::execution is ${SPDK_IO_EXECUTION_NAME}")
