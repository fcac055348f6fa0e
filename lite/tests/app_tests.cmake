# SPDX-License-Identifier: BSD-3-Clause
# Tests of the application framework, for whichever provider is to be tested: `api` is its target
# and `prefix` goes before the tests' names.
include(GoogleTest)

function(spdk_app_tests api prefix)
  set(dir ${CMAKE_CURRENT_FUNCTION_LIST_DIR})
  foreach(name IN ITEMS app_args_test app_test reactor_test)
    add_executable(${prefix}_${name} ${dir}/${name}.cpp)
    target_compile_features(${prefix}_${name} PRIVATE cxx_std_23)
    target_compile_options(${prefix}_${name} PRIVATE -Wall -Wextra -Wpedantic)
    target_link_libraries(${prefix}_${name} PRIVATE ${api} GTest::gtest_main)
    if(TARGET thread_tests)
      add_dependencies(thread_tests ${prefix}_${name})
    endif()
    gtest_discover_tests(${prefix}_${name} TEST_PREFIX ${prefix}. DISCOVERY_MODE PRE_TEST
      DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 60 LABELS threads)
  endforeach()
endfunction()
