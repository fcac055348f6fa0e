# Tests of devices and I/O.
spdk_io_test(dma_buffer)
spdk_io_test(bdev)
spdk_io_test(bdev_options)
spdk_io_test(subsystems)
spdk_io_test(bdev_desc)
spdk_io_test(io_channel)
spdk_io_test(io_operation)
