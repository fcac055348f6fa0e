# Tests of threads, tasks and loops.
