# SPDX-License-Identifier: BSD-3-Clause
# Tests of the application framework, for whichever provider is to be tested: `api` is its target
# and `prefix` goes before the tests' names.
include(GoogleTest)

set(SPDK_IO_HELLO_BDEV "" CACHE FILEPATH
  "SPDK's examples/bdev/hello_world/hello_bdev.c, to be built and run as it is")

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

  # In C: a program of our own, with what it exits with, and SPDK's.
  spdk_app_c_program(${api} ${prefix}_hello_app_test ${dir}/hello_app_test.c)
  set(config --json ${dir}/malloc_device.json)
  spdk_app_c_test(${prefix}_hello_app_test ${prefix}.hello_app.greets 0
    "read from Malloc0: Greetings from a reactor" ${config})
  spdk_app_c_test(${prefix}_hello_app_test ${prefix}.hello_app.sleeping_reactors 0
    "read from Malloc0: Greetings from a reactor" ${config} --interrupt-mode)
  spdk_app_c_test(${prefix}_hello_app_test ${prefix}.hello_app.no_such_device 3
    "Nobody cannot be used: No such device" ${config} -b Nobody)
  spdk_app_c_test(${prefix}_hello_app_test ${prefix}.hello_app.no_such_file 1
    "no/such/file" --json /no/such/file)
  spdk_app_c_test(${prefix}_hello_app_test ${prefix}.hello_app.bad_mask 1 "" ${config} -m 0x0)
  spdk_app_c_test(${prefix}_hello_app_test ${prefix}.hello_app.bad_option 2 "which device" --what)
  spdk_app_c_test(${prefix}_hello_app_test ${prefix}.hello_app.help 0 "which device" --help)
  if(SPDK_IO_HELLO_BDEV)
    spdk_app_c_program(${api} ${prefix}_hello_bdev ${SPDK_IO_HELLO_BDEV})
    spdk_app_c_test(${prefix}_hello_bdev ${prefix}.hello_bdev.greets 0
      "Read string from bdev : Hello World!" ${config})
    spdk_app_c_test(${prefix}_hello_bdev ${prefix}.hello_bdev.no_such_device 255
      "Could not open bdev: Nobody" ${config} -b Nobody)
  endif()
endfunction()

function(spdk_app_c_program api name source)
  add_executable(${name} ${source})
  set_target_properties(${name} PROPERTIES C_STANDARD 11 C_EXTENSIONS ON LINKER_LANGUAGE CXX)
  target_compile_definitions(${name} PRIVATE _GNU_SOURCE)
  target_compile_options(${name} PRIVATE -Wall -Wextra -Wno-unused-parameter)
  target_link_libraries(${name} PRIVATE ${api})
  if(TARGET thread_tests)
    add_dependencies(thread_tests ${name})
  endif()
endfunction()

# Runs the program, which must exit with `code` and print `text`, to stdout or stderr.
function(spdk_app_c_test program name code text)
  add_test(NAME ${name}
    COMMAND sh -c "code=$1 text=$2; shift 2; output=$(\"$@\" 2>&1); got=$?; echo \"$output\"
                   echo \"exited with $got, expected $code\"
                   [ $got = $code ] && case $output in *\"$text\"*) ;; *) false;; esac"
            sh ${code} "${text}" $<TARGET_FILE:${program}>
            --no-huge -s 512 -u --disable-cpumask-locks ${ARGN})
  set_tests_properties(${name} PROPERTIES TIMEOUT 60 LABELS threads)
endfunction()
