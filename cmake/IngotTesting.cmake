# What every test shares: where results go and how the sanitizers behave.
find_package(GTest REQUIRED)
set(INGOT_TEST_RESULTS ${PROJECT_BINARY_DIR}/test-results)
set(INGOT_TEST_ENVIRONMENT
  "UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1"
  "ASAN_OPTIONS=detect_stack_use_after_return=1:strict_init_order=1"
  "LSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/sanitizers/lsan.supp:print_suppressions=0"
  "TSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/sanitizers/tsan.supp:second_deadlock_stack=1")
# A death test starts its own program again, which an emulated one cannot.
if(CMAKE_CROSSCOMPILING AND CMAKE_CROSSCOMPILING_EMULATOR)
  list(APPEND INGOT_TEST_ENVIRONMENT "GTEST_FILTER=-*DeathTest*")
endif()

# Tests are compiled more often than they run hot: the library is optimised, they need not be.
add_library(ingot_test_options INTERFACE)
target_link_libraries(ingot_test_options INTERFACE ingot::ingot ingot_options GTest::gtest_main)
if(NOT INGOT_SANITIZE)
  target_compile_options(ingot_test_options INTERFACE -O1)
endif()

# ingot_add_gtest(NAME sources... [LABELS ...] [TIMEOUT seconds])
# One binary, one ctest entry; its cases are counted from the report it writes.
#
# GoogleTest's header costs a second a file, so it is compiled once, except under a compiler cache,
# which serves unchanged files anyway and would miss on every one of them.
if(NOT CMAKE_CXX_COMPILER_LAUNCHER)
  file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/test_prefix.cpp CONTENT "")
  add_library(ingot_test_prefix OBJECT ${PROJECT_BINARY_DIR}/test_prefix.cpp)
  target_link_libraries(ingot_test_prefix PRIVATE ingot_test_options)
  target_precompile_headers(ingot_test_prefix PRIVATE <gtest/gtest.h>)
endif()

function(ingot_add_gtest name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "TIMEOUT" "LABELS;SOURCES")
  add_executable(test_${name} ${arg_SOURCES})
  target_link_libraries(test_${name} PRIVATE ingot_test_options)
  if(TARGET ingot_test_prefix)
    target_precompile_headers(test_${name} REUSE_FROM ingot_test_prefix)
  endif()
  add_test(NAME ${name} COMMAND test_${name})
  set_tests_properties(${name} PROPERTIES
    LABELS "${arg_LABELS}"
    TIMEOUT ${arg_TIMEOUT}
    ENVIRONMENT "GTEST_OUTPUT=json:${INGOT_TEST_RESULTS}/${name}.json;${INGOT_TEST_ENVIRONMENT}")
endfunction()
