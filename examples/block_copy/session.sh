# SPDX-License-Identifier: BSD-3-Clause
seq 200000 >disk.img
truncate -s 1048576 disk.img copy.img
truncate -s 4096 small.img
blockcopy disk.img copy.img
blockcopy --length 500000 --resume-from 64k disk.img copy.img
blockcopy --offset 1000 --length 5000 --to 4321 --chunk 4k --depth 4 --no-verify disk.img copy.img
blockcopy disk.img small.img
blockcopy disk.img ./disk.img
