# `find_package(Ingot)` for users: the library, its headers with their folders, the package files.
include(CMakePackageConfigHelpers)

set(INGOT_PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/Ingot)

install(TARGETS ingot EXPORT IngotTargets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
# The CUDA backend's own headers need CUDA's, which a user may lack; nothing else includes them.
install(DIRECTORY ${PROJECT_SOURCE_DIR}/ingot DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  COMPONENT development FILES_MATCHING PATTERN "*.h" PATTERN "*.inc"
  REGEX "/ingot/backends/cuda$" EXCLUDE)
install(EXPORT IngotTargets NAMESPACE ingot:: DESTINATION ${INGOT_PACKAGE_DIR}
  COMPONENT development)

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/IngotConfig.cmake.in
  ${PROJECT_BINARY_DIR}/IngotConfig.cmake INSTALL_DESTINATION ${INGOT_PACKAGE_DIR})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/IngotConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES
  ${PROJECT_BINARY_DIR}/IngotConfig.cmake
  ${PROJECT_BINARY_DIR}/IngotConfigVersion.cmake
  ${PROJECT_SOURCE_DIR}/cmake/IngotDependencies.cmake
  DESTINATION ${INGOT_PACKAGE_DIR} COMPONENT development)
