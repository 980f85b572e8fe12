# Compiler options that Ingot's own targets share; never exported to users.
add_library(ingot_options INTERFACE)
target_compile_options(ingot_options INTERFACE -Wall -Wextra)
if(INGOT_WERROR)
  target_compile_options(ingot_options INTERFACE -Werror)
endif()

if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
  # libstdc++ 12 calls its own deprecated get_temporary_buffer from std::stable_sort, and clang
  # blames the caller; gcc still checks our code for deprecated calls.
  target_compile_options(ingot_options INTERFACE -Wno-deprecated-declarations)
endif()

if(INGOT_SANITIZE)
  add_compile_options(-fsanitize=${INGOT_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${INGOT_SANITIZE})
endif()

if(INGOT_BUILD_FUZZERS)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

if(PROJECT_IS_TOP_LEVEL AND NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Debug, Release, RelWithDebInfo or None" FORCE)
endif()

if(INGOT_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  find_program(INGOT_CCACHE_PROGRAM ccache)
  mark_as_advanced(INGOT_CCACHE_PROGRAM)
  if(INGOT_CCACHE_PROGRAM)
    set(CMAKE_CXX_COMPILER_LAUNCHER ${INGOT_CCACHE_PROGRAM})
  endif()
endif()
