# SPDX-License-Identifier: BSD-3-Clause
truncate -s 1M disk.img
mkfifo port
block_server disk.img --port 0 >port &
read -r word port <port
block_client "$port" info
block_client "$port" write 4096 "hello, block 1"
block_client "$port" read 4096
block_client "$port" read 1048576
kill -TERM $!
wait $!

# Another one, on the same file: what was written is there.
block_server disk.img --port 0 --mode read-only >port &
read -r word port <port
block_client "$port" info
block_client "$port" read 4096
block_client "$port" zero 4096 4096
kill -TERM $!
wait $!
