// Faults of the operating system, preloaded into the server under test:
//   FAULT_LOCK_PAUSE_US  a random pause of up to this many microseconds before each lock of a file
//   FAULT_CLOCK_S        seconds by which the clock is ahead, or behind where negative
//   FAULT_SYNC           while a file of this name exists, fsync and fdatasync fail with EIO
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
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

#define LOCKING(name)                                                      \
  int name(int file, int command, ...) {                                   \
    static int (*real)(int, int, ...);                                     \
    if (!real) real = (int (*)(int, int, ...))dlsym(RTLD_NEXT, #name);     \
    va_list arguments;                                                     \
    va_start(arguments, command);                                          \
    void *argument = va_arg(arguments, void *);                            \
    va_end(arguments);                                                     \
    pause_before_lock(command);                                            \
    return real(file, command, argument);                                  \
  }
LOCKING(fcntl)
LOCKING(fcntl64)

#define SYNCING(name)                                                      \
  int name(int file) {                                                     \
    static int (*real)(int);                                               \
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, #name);               \
    const char *fault = getenv("FAULT_SYNC");                              \
    if (fault && access(fault, F_OK) == 0) return errno = EIO, -1;         \
    return real(file);                                                     \
  }
SYNCING(fsync)
SYNCING(fdatasync)

int clock_gettime(clockid_t clock, struct timespec *now) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int result = real(clock, now);
  const char *ahead = getenv("FAULT_CLOCK_S");
  if (ahead && clock == CLOCK_REALTIME) now->tv_sec += atoi(ahead);
  return result;
}
