# Tests of devices and I/O.
