# SPDX-License-Identifier: BSD-3-Clause
kv disk.img create 8388608
kv disk.img put apple red pear green plum blue
kv disk.img get pear
kv disk.img delete pear
kv disk.img list
kv disk.img stat
kv disk.img get pear
