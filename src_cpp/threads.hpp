// The number of threads of the core: inside BLAS and LAPACK, where it is process-wide, and of the core's own workers.
#pragma once

#include <functional>

#include "fastfid/threads.hpp"

namespace fastfid::threads {

void set(int n);
int get();  // what was set last, also while BLAS is held at one thread

// Holds BLAS at one thread while the core's own workers call it; any number of these may exist at a time, in any
// threads. The last one restores the number that was set last. Other calls of BLAS meanwhile run on one thread.
class OneInBlas {
 public:
  OneInBlas();
  ~OneInBlas();
  OneInBlas(const OneInBlas&) = delete;
  OneInBlas& operator=(const OneInBlas&) = delete;
};

// Runs `work` in up to `count` threads, this one included, and waits for them. The threads share the work among
// themselves, so that fewer threads than asked for also do it. Returns early from all if one throws: `work` gets a
// function that says whether to stop. Throws the first exception again.
using Stop = std::function<bool()>;
void run(int count, const std::function<void(const Stop&)>& work);

}  // namespace fastfid::threads
