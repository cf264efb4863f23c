# The Python extension, and the OpenBLAS that it brings along.
if(BUILD_SHARED_LIBS OR NOT FASTFID_WHEELS)
  message(FATAL_ERROR "the Python extension has the core within it and OpenBLAS from the Python environment: "
                      "leave BUILD_SHARED_LIBS and FASTFID_WHEELS alone, or set FASTFID_PYTHON=OFF for the C++ library")
endif()
if(NOT TARGET Python::Module)
  message(FATAL_ERROR "the headers of ${Python_EXECUTABLE} are missing: install them, as python3-dev on Debian")
endif()
find_package(pybind11 CONFIG REQUIRED)
pybind11_add_module(_core MODULE
  src_cpp/bindings/module.cpp
  src_cpp/bindings/register_errors.cpp
  src_cpp/bindings/register_frechet.cpp
  src_cpp/bindings/register_moments.cpp
  src_cpp/bindings/register_coordinates.cpp
  src_cpp/bindings/register_pairs.cpp
  src_cpp/bindings/register_resize.cpp
  src_cpp/bindings/register_threads.cpp)
target_link_libraries(_core PRIVATE fastfid_objects)
if(APPLE)
  set_target_properties(_core PROPERTIES INSTALL_RPATH "@loader_path")
else()
  set_target_properties(_core PROPERTIES INSTALL_RPATH "$ORIGIN")
endif()
install(TARGETS _core DESTINATION fastfid)
# Beside its package, which a build in isolation has elsewhere than the Python that runs it.
get_filename_component(FASTFID_OPENBLAS_SITE "${FASTFID_BLAS}/../../.." ABSOLUTE)
file(GLOB FASTFID_OPENBLAS_LICENSE "${FASTFID_OPENBLAS_SITE}/scipy_openblas32-*.dist-info/licenses/LICENSE.txt")
if(NOT FASTFID_OPENBLAS_LICENSE)
  message(FATAL_ERROR "no licence of OpenBLAS in ${FASTFID_OPENBLAS_SITE}, which the wheel must bring along")
endif()
install(FILES "${FASTFID_BLAS_AT_RUN_TIME}" DESTINATION fastfid)
install(FILES ${FASTFID_OPENBLAS_LICENSE} DESTINATION fastfid/licenses RENAME OpenBLAS.txt)
install(FILES licenses/Eigen-MPL-2.0.txt DESTINATION fastfid/licenses)

# What the wheel brings along, where PEP 770 has it: pip's lists of packages do not show it.
configure_file(cmake/bundled.cdx.json.in bundled.cdx.json)
install(FILES "${PROJECT_BINARY_DIR}/bundled.cdx.json" DESTINATION "${SKBUILD_METADATA_DIR}/sboms")
