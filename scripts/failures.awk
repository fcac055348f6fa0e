# SPDX-License-Identifier: BSD-3-Clause
# From ctest's log, the output of tests that failed, without the lines of those that passed.
/^ *[0-9]+\/[0-9]+ Test +#/ { show = ($0 !~ /Passed|Skipped/) }
/^ *Start +[0-9]+:/ { next }
show { print }
