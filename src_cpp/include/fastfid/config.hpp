// The type of sizes, and what marks a symbol as part of the library's interface or not.
//
// Conventions of all headers: matrices are row-major and dense, (n, d) is n rows of d values. A pointer that goes in is read
// during the call only; a pointer that a result goes to is to memory of the caller, of the size that is stated. Functions
// may be called from several threads at once; an object may not, unless all of them only read it.
#pragma once

#include <cstddef>

#if defined(_WIN32)
#ifdef FASTFID_BUILDING_SHARED
#define FASTFID_API __declspec(dllexport)
#else
#define FASTFID_API
#endif
#define FASTFID_LOCAL
#else
#define FASTFID_API __attribute__((visibility("default")))
#define FASTFID_LOCAL __attribute__((visibility("hidden")))
#endif

namespace fastfid {

/// Number of rows, of dims or of pixels. A size that is negative is a std::invalid_argument, and so are dims above 2^31 - 1.
using Index = std::ptrdiff_t;

}  // namespace fastfid
