# Eigen, and a library with CBLAS and LAPACKE of 32-bit integers:
#
#   FASTFID_EIGEN               a target
#   FASTFID_BLAS                targets or files to link
#   FASTFID_BLAS_INCLUDE_DIRS   of cblas.h and lapacke.h
#   FASTFID_BLAS_DEFINITIONS    which library it is
set(FASTFID_EIGEN Eigen3::Eigen)

if(FASTFID_WHEELS)
  # Both come from pinned build requirements (pyproject.toml), found through the Python that runs the build.
  find_package(Python REQUIRED COMPONENTS Interpreter OPTIONAL_COMPONENTS Development.Module)
  execute_process(
    COMMAND "${Python_EXECUTABLE}" -c "import sysconfig; print(sysconfig.get_path('platlib'))"
    OUTPUT_VARIABLE FASTFID_SITE_PACKAGES OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  list(APPEND CMAKE_PREFIX_PATH "${FASTFID_SITE_PACKAGES}")
  find_package(Eigen3 3.4 CONFIG REQUIRED PATH_SUFFIXES cmeel.prefix/share/eigen3/cmake)
  find_package(OpenBLAS CONFIG REQUIRED PATH_SUFFIXES scipy_openblas32/lib/cmake/openblas)
  # On Windows its configuration gives the import library where the DLL, which lies beside it, is expected.
  get_target_property(FASTFID_BLAS OpenBLAS::OpenBLAS IMPORTED_LOCATION)
  string(REGEX REPLACE "\\.lib$" ".dll" FASTFID_BLAS_AT_RUN_TIME "${FASTFID_BLAS}")
  get_target_property(FASTFID_BLAS_INCLUDE_DIRS OpenBLAS::OpenBLAS INTERFACE_INCLUDE_DIRECTORIES)
  set(FASTFID_BLAS_DEFINITIONS FASTFID_SCIPY_OPENBLAS FASTFID_OPENBLAS)
  return()
endif()

find_package(Eigen3 3.4 CONFIG REQUIRED)
find_package(LAPACK REQUIRED) # and BLAS; BLA_VENDOR chooses, BLAS_LIBRARIES and LAPACK_LIBRARIES name files
find_path(FASTFID_CBLAS_DIR cblas.h PATH_SUFFIXES openblas REQUIRED DOC "Folder of cblas.h")
find_path(FASTFID_LAPACKE_DIR lapacke.h PATH_SUFFIXES openblas REQUIRED DOC "Folder of lapacke.h")
set(FASTFID_BLAS_INCLUDE_DIRS "${FASTFID_CBLAS_DIR}" "${FASTFID_LAPACKE_DIR}")
set(FASTFID_BLAS ${LAPACK_LIBRARIES} ${BLAS_LIBRARIES})
list(REMOVE_DUPLICATES FASTFID_BLAS)

# Whether FASTFID_BLAS has a function.
include(CheckCXXSourceCompiles)
function(fastfid_blas_has name result)
  set(CMAKE_REQUIRED_LIBRARIES ${FASTFID_BLAS} Threads::Threads)
  check_cxx_source_compiles("extern \"C\" void ${name}(); int main() { ${name}(); }" ${result})
endfunction()

# A reference LAPACK has its C interfaces in libraries of their own.
foreach(part lapacke cblas)
  string(TOUPPER ${part} PART)
  set(function_lapacke LAPACKE_dpstrf_work)
  set(function_cblas cblas_dgemm)
  fastfid_blas_has(${function_${part}} FASTFID_BLAS_HAS_${PART})
  if(NOT FASTFID_BLAS_HAS_${PART})
    find_library(FASTFID_${PART}_LIBRARY ${part} REQUIRED DOC "The library with the functions of ${part}.h")
    list(PREPEND FASTFID_BLAS "${FASTFID_${PART}_LIBRARY}")
  endif()
endforeach()

set(FASTFID_BLAS_DEFINITIONS "")
fastfid_blas_has(openblas_set_num_threads FASTFID_BLAS_IS_OPENBLAS)
if(FASTFID_BLAS_IS_OPENBLAS)
  set(FASTFID_BLAS_DEFINITIONS FASTFID_OPENBLAS)
endif()
