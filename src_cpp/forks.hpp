// If a process forks while another thread is inside BLAS, OpenBLAS's thread pool hangs in both processes. So every call
// of the core holds a lock that a fork waits for. While a fork waits, it holds Python's lock, so that no new call can
// begin. The running calls do not need Python's lock to end.
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
void after_in_child();   // in the same thread; the threads that waited in the parent do not exist here

}  // namespace fastfid::forks
