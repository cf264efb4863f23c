// Loaded before libc (LD_PRELOAD): makes the n-th call of one kind fail, once it is armed by `fault_arm`.
//
// Counted are calls for files below the folder of the tries and, for allocations, those of at least 4 KiB: the arrays,
// buffers and work spaces, not the objects of the interpreter.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum { OPEN, READ, WRITE, FSYNC, RENAME, ALLOCATE, KINDS };

static atomic_long counts[KINDS];
static long fails[KINDS];  // the number of the call that fails; 0 for none
static int error_number, sticky, armed;
static char below[4096];

// Arms the fault: the n-th call of `kind` fails with `error`; with `on`, all later ones too. n = 0 only counts.
void fault_arm(int kind, long n, int error, int on, const char* folder) {
  strncpy(below, folder, sizeof below - 1);
  for (int i = 0; i < KINDS; ++i) {
    counts[i] = 0;
    fails[i] = 0;
  }
  fails[kind] = n;
  error_number = error;
  sticky = on;
  armed = 1;
}

long fault_count(int kind) { return counts[kind]; }

static int faulty(int kind) {
  if (!armed) return 0;
  const long call = ++counts[kind];
  const int fault = fails[kind] && (sticky ? call >= fails[kind] : call == fails[kind]);
  if (fault) errno = error_number;
  return fault;
}

static int ours(const char* path) { return armed && path && strncmp(path, below, strlen(below)) == 0; }

static int our_file(int fd) {
  if (!armed) return 0;
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t n = readlink(link, path, sizeof path - 1);
  if (n <= 0) return 0;
  path[n] = 0;
  return ours(path);
}

#define REAL(type, name, ...)                              \
  static type (*real)(__VA_ARGS__);                        \
  if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

#define OPENS(name)                                                        \
  int name(const char* path, int flags, ...) {                             \
    REAL(int, #name, const char*, int, ...);                               \
    va_list rest;                                                          \
    va_start(rest, flags);                                                 \
    const int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, int) : 0; \
    va_end(rest);                                                          \
    if (ours(path) && faulty(OPEN)) return -1;                             \
    return real(path, flags, mode);                                        \
  }
OPENS(open)
OPENS(open64)

ssize_t read(int fd, void* to, size_t n) {
  REAL(ssize_t, "read", int, void*, size_t);
  return our_file(fd) && faulty(READ) ? -1 : real(fd, to, n);
}

#define PREADS(name)                                                           \
  ssize_t name(int fd, void* to, size_t n, off_t at) {                         \
    REAL(ssize_t, #name, int, void*, size_t, off_t);                           \
    return our_file(fd) && faulty(READ) ? -1 : real(fd, to, n, at);            \
  }
PREADS(pread)
PREADS(pread64)

ssize_t write(int fd, const void* from, size_t n) {
  REAL(ssize_t, "write", int, const void*, size_t);
  return our_file(fd) && faulty(WRITE) ? -1 : real(fd, from, n);
}

int fsync(int fd) {
  REAL(int, "fsync", int);
  return our_file(fd) && faulty(FSYNC) ? -1 : real(fd);
}

#define RENAMES(name)                                                             \
  int name(const char* from, const char* to) {                                    \
    REAL(int, #name, const char*, const char*);                                   \
    return (ours(from) || ours(to)) && faulty(RENAME) ? -1 : real(from, to);      \
  }
RENAMES(rename)
RENAMES(link)

int renameat(int dir, const char* from, int to_dir, const char* to) {
  REAL(int, "renameat", int, const char*, int, const char*);
  return (ours(from) || ours(to)) && faulty(RENAME) ? -1 : real(dir, from, to_dir, to);
}

int linkat(int dir, const char* from, int to_dir, const char* to, int flags) {
  REAL(int, "linkat", int, const char*, int, const char*, int);
  return (ours(from) || ours(to)) && faulty(RENAME) ? -1 : real(dir, from, to_dir, to, flags);
}

static int large(size_t n) { return armed && n >= 4096; }

void* malloc(size_t n) {
  REAL(void*, "malloc", size_t);
  return large(n) && faulty(ALLOCATE) ? NULL : real(n);
}

void* realloc(void* old, size_t n) {
  REAL(void*, "realloc", void*, size_t);
  return large(n) && faulty(ALLOCATE) ? NULL : real(old, n);
}

void* aligned_alloc(size_t to, size_t n) {
  REAL(void*, "aligned_alloc", size_t, size_t);
  return large(n) && faulty(ALLOCATE) ? NULL : real(to, n);
}

int posix_memalign(void** at, size_t to, size_t n) {
  REAL(int, "posix_memalign", void**, size_t, size_t);
  return large(n) && faulty(ALLOCATE) ? ENOMEM : real(at, to, n);
}

// dlsym itself calls calloc before the real one is known.
void* calloc(size_t count, size_t n) {
  static void* (*real)(size_t, size_t);
  static _Alignas(16) char early[8192];
  static size_t used;
  static int looking;
  if (!real) {
    if (looking) {
      void* at = early + used;
      used += (count * n + 15) & ~(size_t)15;
      return used > sizeof early ? NULL : at;
    }
    looking = 1;
    real = (void* (*)(size_t, size_t))dlsym(RTLD_NEXT, "calloc");
  }
  return (n && count >= 4096 / n + 1 && armed) && faulty(ALLOCATE) ? NULL : real(count, n);
}
