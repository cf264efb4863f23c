// The number of threads of the library, which is process-wide: inside BLAS and LAPACK, and of the library's own workers.
//
// The library does not watch over forks: a process must not fork while another of its threads is in one of its functions.
#pragma once

#include "fastfid/config.hpp"

namespace fastfid {

/// At first as many as BLAS chooses. Results do not depend on it, but for rounding inside BLAS and LAPACK. Throws
/// std::invalid_argument unless n is positive.
FASTFID_API void set_num_threads(int n);
FASTFID_API int num_threads();

}  // namespace fastfid
