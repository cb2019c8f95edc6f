// Faults of the operating system, preloaded into the server under test:
//   FAULT_LOCK_PAUSE_US  a random pause of up to this many microseconds before each lock of a file
//   FAULT_CLOCK_S        seconds by which the clock is ahead, or behind if negative
//   FAULT_CLOCK          a file with such a number (8 bytes), which may change at any time
//   FAULT_SYNC           while a file with this name exists, fsync and fdatasync fail
//   FAULT_WRITE          while a file with this name exists, write fails
//                        (with the errno in that file, or EIO; after it, the file may have the suffix of the names of
//                        the affected files)
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static void pause_before_lock(int command) {
  if (command != F_SETLK && command != F_SETLKW) return;
  const char *longest = getenv("FAULT_LOCK_PAUSE_US");
  static __thread unsigned seed;
  if (!longest) return;
  if (!seed) seed = (unsigned)getpid() * 2654435761u + (unsigned)(size_t)&seed;
  usleep((unsigned)rand_r(&seed) % (unsigned)(atoi(longest) + 1));
}

#define LOCKING(name)                                                  \
  int name(int file, int command, ...) {                               \
    static int (*real)(int, int, ...);                                 \
    if (!real) real = (int (*)(int, int, ...))dlsym(RTLD_NEXT, #name); \
    va_list arguments;                                                 \
    va_start(arguments, command);                                      \
    void *argument = va_arg(arguments, void *);                        \
    va_end(arguments);                                                 \
    pause_before_lock(command);                                        \
    return real(file, command, argument);                              \
  }
LOCKING(fcntl)
LOCKING(fcntl64)

// Whether an operation on this file must fail; sets errno.
static int fails(const char *variable, int file) {
  const char *fault = getenv(variable);
  if (!fault || access(fault, F_OK)) return 0;
  char text[64] = "", suffix[64] = "", link[64], name[4096] = "";
  int error = EIO, steering = open(fault, O_RDONLY | O_CLOEXEC);
  if (steering >= 0) {
    if (read(steering, text, sizeof text - 1) > 0) sscanf(text, "%d %63s", &error, suffix);
    close(steering);
  }
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, name, sizeof name - 1), end = (ssize_t)strlen(suffix);
  if (end && (length < end || strcmp(name + length - end, suffix))) return 0;
  errno = error;
  return 1;
}

#define SYNCING(name)                                        \
  int name(int file) {                                       \
    static int (*real)(int);                                 \
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, #name); \
    return fails("FAULT_SYNC", file) ? -1 : real(file);      \
  }
SYNCING(fsync)
SYNCING(fdatasync)

ssize_t write(int file, const void *bytes, size_t count) {
  static ssize_t (*real)(int, const void *, size_t);
  if (!real) real = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
  return fails("FAULT_WRITE", file) ? -1 : real(file, bytes, count);
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t offset) {
  static ssize_t (*real)(int, const void *, size_t, off64_t);
  if (!real) real = (ssize_t (*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
  return fails("FAULT_WRITE", file) ? -1 : real(file, bytes, count, offset);
}

static int64_t step_of_clock(void) {
  static const volatile int64_t *step;
  const char *name = getenv("FAULT_CLOCK");
  if (!name) return 0;
  if (!step) {
    int file = open(name, O_RDONLY | O_CLOEXEC);
    void *memory = mmap(NULL, sizeof *step, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (memory == MAP_FAILED) abort();
    step = memory;
  }
  return *step;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int result = real(clock, now);
  const char *ahead = getenv("FAULT_CLOCK_S");
  if (ahead && clock == CLOCK_REALTIME) now->tv_sec += atoi(ahead);
  if (clock == CLOCK_REALTIME) now->tv_sec += step_of_clock();
  return result;
}
