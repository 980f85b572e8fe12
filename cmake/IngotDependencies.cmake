# Everything Ingot is built on, found in one place. The installed package includes this same file,
# so that an installed static library finds exactly what it was linked with.
#
# Reads INGOT_WITH_JPEG and INGOT_WITH_ONEDNN; defines Ingot::OneDNN and Ingot::OpenMPRuntime when the
# latter is on.
include(CMakeFindDependencyMacro)

find_dependency(fmt)
find_dependency(Threads)
find_dependency(PNG)
find_dependency(ZLIB)
if(INGOT_WITH_JPEG)
  find_dependency(JPEG)
endif()

# Highway's own config file carries the compile definitions of a shared build.
find_dependency(hwy CONFIG)

# oneDNN is looked up by header and library: its config file also demands the OpenCL development
# files of a GPU runtime that Ingot does not use.
if(INGOT_WITH_ONEDNN AND NOT TARGET Ingot::OneDNN)
  find_path(INGOT_ONEDNN_INCLUDE_DIR oneapi/dnnl/dnnl.h)
  find_library(INGOT_ONEDNN_LIBRARY dnnl)
  # The OpenMP runtime oneDNN itself was built on: Ingot sets its thread count and is not compiled
  # with -fopenmp. A shared library only, since a second copy would keep its own thread count.
  find_library(INGOT_OPENMP_RUNTIME NAMES libgomp.so libgomp.so.1 libomp.dylib
               HINTS ${CMAKE_CXX_IMPLICIT_LINK_DIRECTORIES} /opt/homebrew/opt/libomp/lib
                     /usr/local/opt/libomp/lib)
  mark_as_advanced(INGOT_ONEDNN_INCLUDE_DIR INGOT_ONEDNN_LIBRARY INGOT_OPENMP_RUNTIME)
  if(NOT INGOT_ONEDNN_INCLUDE_DIR OR NOT INGOT_ONEDNN_LIBRARY OR NOT INGOT_OPENMP_RUNTIME)
    message(FATAL_ERROR
      "oneDNN was not found: install libdnnl-dev (Debian, Ubuntu) or onednn and libomp (Homebrew), "
      "or configure with -DINGOT_WITH_ONEDNN=OFF to use Ingot's own kernels alone")
  endif()

  add_library(Ingot::OneDNN UNKNOWN IMPORTED)
  set_target_properties(Ingot::OneDNN PROPERTIES
    IMPORTED_LOCATION "${INGOT_ONEDNN_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${INGOT_ONEDNN_INCLUDE_DIR}")
  add_library(Ingot::OpenMPRuntime UNKNOWN IMPORTED)
  set_target_properties(Ingot::OpenMPRuntime PROPERTIES
    IMPORTED_LOCATION "${INGOT_OPENMP_RUNTIME}")
endif()
