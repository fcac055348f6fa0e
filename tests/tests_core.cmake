# Tests of threads, tasks and loops.

# The same source without and with optimisation: compilers' handling of coroutines depends on it.
function(spdk_io_test_at_levels stem)
  foreach(level IN ITEMS O0 O2)
    set(name ${stem}_${level}_test)
    add_executable(${name} ${stem}_test.cpp)
    target_link_libraries(${name} PRIVATE spdk_io_test_support GTest::gtest_main)
    spdk_io_warnings(${name})
    target_compile_options(${name} PRIVATE -${level})
    gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST TEST_PREFIX ${level}.
      PROPERTIES TIMEOUT 60 LABELS "${ARGN}")
  endforeach()
endfunction()

spdk_io_test(error BARE LABELS threads)
spdk_io_test(ready_list BARE)
spdk_io_test(inbox BARE LABELS threads)
spdk_io_test(timer_queue BARE)
spdk_io_test_at_levels(task threads)
spdk_io_test_at_levels(await_forms)
spdk_io_test(when_all BARE)
spdk_io_test(task_scope BARE)
spdk_io_test(run_loop BARE LABELS threads)
