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
file(GLOB FASTFID_OPENBLAS_LICENSE "${FASTFID_SITE_PACKAGES}/scipy_openblas32-*.dist-info/licenses/LICENSE.txt")
install(FILES "${FASTFID_BLAS_AT_RUN_TIME}" DESTINATION fastfid)
install(FILES ${FASTFID_OPENBLAS_LICENSE} DESTINATION fastfid/licenses RENAME OpenBLAS.txt)
install(FILES licenses/Eigen-MPL-2.0.txt DESTINATION fastfid/licenses)
