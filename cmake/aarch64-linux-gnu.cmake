# Debian's cross compiler with the arm64 packages beside the native ones (multiarch).
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH /usr/aarch64-linux-gnu /usr/lib/aarch64-linux-gnu)
# The arm64 packages put their loader and libraries where the emulated program looks for them.
find_program(INGOT_QEMU qemu-aarch64-static)
if(INGOT_QEMU)
  set(CMAKE_CROSSCOMPILING_EMULATOR ${INGOT_QEMU})
endif()
