# The C++ library, fastfid::core, and what find_package(fastfid) needs of it.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

add_library(fastfid_core $<TARGET_OBJECTS:fastfid_objects>) # static, or shared with BUILD_SHARED_LIBS
add_library(fastfid::core ALIAS fastfid_core)
target_include_directories(fastfid_core INTERFACE
  "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src_cpp/include>" "$<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/include>")
target_compile_features(fastfid_core INTERFACE cxx_std_17)
target_link_libraries(fastfid_core PRIVATE ${FASTFID_BLAS} Threads::Threads)
# Where a shared library finds BLAS. CMake's own INSTALL_RPATH_USE_LINK_PATH leaves out folders below the source tree, such
# as those of a virtual environment there.
set(FASTFID_BLAS_DIRS "")
foreach(file IN LISTS FASTFID_BLAS)
  get_filename_component(dir "${file}" DIRECTORY)
  if(IS_ABSOLUTE "${file}" AND NOT dir IN_LIST CMAKE_CXX_IMPLICIT_LINK_DIRECTORIES)
    list(APPEND FASTFID_BLAS_DIRS "${dir}")
  endif()
endforeach()
list(REMOVE_DUPLICATES FASTFID_BLAS_DIRS)
set_target_properties(fastfid_core PROPERTIES
  EXPORT_NAME core
  OUTPUT_NAME fastfid
  LINKER_LANGUAGE CXX
  VERSION ${PROJECT_VERSION}
  SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
  INSTALL_RPATH "${FASTFID_BLAS_DIRS}")

install(TARGETS fastfid_core EXPORT fastfidTargets INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(DIRECTORY src_cpp/include/fastfid "${PROJECT_BINARY_DIR}/include/fastfid"
  DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.hpp")
install(FILES LICENSE licenses/Eigen-MPL-2.0.txt DESTINATION "${CMAKE_INSTALL_DATADIR}/licenses/fastfid")

set(FASTFID_CONFIG_DIR "${CMAKE_INSTALL_LIBDIR}/cmake/fastfid")
install(EXPORT fastfidTargets NAMESPACE fastfid:: DESTINATION "${FASTFID_CONFIG_DIR}")
configure_package_config_file(cmake/fastfidConfig.cmake.in fastfidConfig.cmake INSTALL_DESTINATION "${FASTFID_CONFIG_DIR}")
write_basic_package_version_file(fastfidConfigVersion.cmake COMPATIBILITY SameMinorVersion) # until 1.0
install(FILES "${PROJECT_BINARY_DIR}/fastfidConfig.cmake" "${PROJECT_BINARY_DIR}/fastfidConfigVersion.cmake"
  DESTINATION "${FASTFID_CONFIG_DIR}")
