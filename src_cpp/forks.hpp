// A fork while another thread is inside BLAS leaves OpenBLAS's thread pool in a state from which neither process
// returns. So every call of the core holds a lock that a fork waits for. The waiting side of a fork keeps Python's
// lock, with which no new call can begin; the calls under way end without it.
#pragma once

#include <mutex>
#include <shared_mutex>

namespace fastfid::forks {

// Held while the core works; any number of threads at a time.
class Working {
 public:
  Working();

 private:
  std::shared_lock<std::shared_mutex> lock_;
};

void before();           // waits until no thread works, and keeps others from beginning
void after_in_parent();  // in the same thread
void after_in_child();   // likewise; the threads that waited in the parent do not exist here

}  // namespace fastfid::forks
