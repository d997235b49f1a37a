/* Counts the file operations of a process, and kills it or refuses an operation at one of them.
 *
 * Loaded with LD_PRELOAD. Does nothing until a process calls hammer_arm. Counts only operations on files below a folder,
 * which end up on a disk: opening for writing, writing, syncing, renaming, deleting, and changing folders. Every library
 * is covered: Python, HDF5, SQLite and code in Rust all call these functions of the C library.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { OFF, COUNT, KILL, REFUSE };
enum { GO, FAIL, HALF };
enum { SPACE = 1, CHANGE = 2 }; /* needs space on the disk; changes a folder or the status of a file */

static int mode = OFF, error_number, once, torn, classes;
static long at, events, clock_shift;
static char folder[PATH_MAX];
static size_t folder_length;

void hammer_arm(int new_mode, long new_at, int new_error, int new_once, int new_torn, int new_classes, long shift,
                const char *below) {
    at = new_at, error_number = new_error, once = new_once, torn = new_torn, classes = new_classes;
    events = 0, clock_shift = shift;
    strncpy(folder, below, sizeof folder - 1);
    folder_length = strlen(folder);
    mode = new_mode;
}

long hammer_disarm(void) {
    mode = OFF;
    return events;
}

static int is_below(const char *path) { return strncmp(path, folder, folder_length) == 0; }

static int descriptor_is_below(int descriptor) {
    char link[64], target[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, target, sizeof target - 1);
    if (length < 0) return 0;
    target[length] = 0;
    return is_below(target);
}

/* Relative paths are below the folder, because the process works in it. */
static int path_is_below(int directory, const char *path) {
    if (path == NULL) return descriptor_is_below(directory);
    if (path[0] == '/') return is_below(path);
    return directory == AT_FDCWD || descriptor_is_below(directory);
}

static int decide(int class, int below) {
    if (!(class & classes) || !below) return GO;
    long number = __sync_add_and_fetch(&events, 1);
    if (mode == COUNT || number < at) return GO;
    if (mode == KILL) {
        if (torn && class == SPACE) return HALF;
        syscall(SYS_kill, getpid(), SIGKILL);
    }
    if (number > at && once) return GO;
    if (torn && number == at) return HALF;
    errno = error_number;
    return FAIL;
}

#define REAL(name, ...) \
    static __typeof__(name) *real; \
    if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name);

/* Operations that are done whole or not at all. */
#define PLAIN(class, below) \
    if (mode != OFF && decide(class, below) != GO) { \
        if (mode == KILL) syscall(SYS_kill, getpid(), SIGKILL); \
        errno = error_number; \
        return -1; \
    }

/* A write of which only the first half is done: then the process dies, or the number of bytes tells the caller. */
static int half_decision(int descriptor) { return mode == OFF ? GO : decide(SPACE, descriptor_is_below(descriptor)); }

static ssize_t ended(ssize_t done) {
    if (mode == KILL) syscall(SYS_kill, getpid(), SIGKILL);
    return done;
}

ssize_t write(int descriptor, const void *data, size_t size) {
    REAL(write)
    int decision = half_decision(descriptor);
    if (decision == FAIL) return -1;
    if (decision == HALF) return ended(real(descriptor, data, size > 1 ? size / 2 : size));
    return real(descriptor, data, size);
}

ssize_t pwrite(int descriptor, const void *data, size_t size, off_t offset) {
    REAL(pwrite)
    int decision = half_decision(descriptor);
    if (decision == FAIL) return -1;
    if (decision == HALF) return ended(real(descriptor, data, size > 1 ? size / 2 : size, offset));
    return real(descriptor, data, size, offset);
}

ssize_t pwrite64(int descriptor, const void *data, size_t size, off64_t offset) {
    REAL(pwrite64)
    int decision = half_decision(descriptor);
    if (decision == FAIL) return -1;
    if (decision == HALF) return ended(real(descriptor, data, size > 1 ? size / 2 : size, offset));
    return real(descriptor, data, size, offset);
}

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    REAL(writev)
    int decision = half_decision(descriptor);
    if (decision == FAIL) return -1;
    if (decision == HALF) return ended(real(descriptor, parts, count > 1 ? count / 2 : count));
    return real(descriptor, parts, count);
}

ssize_t copy_file_range(int in, off64_t *in_at, int out, off64_t *out_at, size_t size, unsigned flags) {
    REAL(copy_file_range)
    PLAIN(SPACE, descriptor_is_below(out))
    return real(in, in_at, out, out_at, size, flags);
}

ssize_t sendfile(int out, int in, off_t *offset, size_t size) {
    static ssize_t (*real)(int, int, off_t *, size_t);
    if (!real) real = dlsym(RTLD_NEXT, "sendfile");
    PLAIN(SPACE, descriptor_is_below(out))
    return real(out, in, offset, size);
}

ssize_t sendfile64(int out, int in, off64_t *offset, size_t size) {
    static ssize_t (*real)(int, int, off64_t *, size_t);
    if (!real) real = dlsym(RTLD_NEXT, "sendfile64");
    PLAIN(SPACE, descriptor_is_below(out))
    return real(out, in, offset, size);
}

#define OPENING(path, directory) \
    mode_t rights = 0; \
    if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE) { \
        va_list more; \
        va_start(more, flags); \
        rights = va_arg(more, mode_t); \
        va_end(more); \
    } \
    if (flags & (O_CREAT | O_WRONLY | O_RDWR | O_TRUNC)) { \
        PLAIN(flags & O_CREAT ? SPACE : CHANGE, path_is_below(directory, path)) \
    }

int open(const char *path, int flags, ...) {
    REAL(open)
    OPENING(path, AT_FDCWD)
    return real(path, flags, rights);
}

int open64(const char *path, int flags, ...) {
    REAL(open64)
    OPENING(path, AT_FDCWD)
    return real(path, flags, rights);
}

int openat(int directory, const char *path, int flags, ...) {
    REAL(openat)
    OPENING(path, directory)
    return real(directory, path, flags, rights);
}

int openat64(int directory, const char *path, int flags, ...) {
    REAL(openat64)
    OPENING(path, directory)
    return real(directory, path, flags, rights);
}

#define CALL(result, name, class, below, parameters, values) \
    result name parameters { \
        REAL(name) \
        PLAIN(class, below) \
        return real values; \
    }

CALL(int, fsync, SPACE, descriptor_is_below(file), (int file), (file))
CALL(int, fdatasync, SPACE, descriptor_is_below(file), (int file), (file))
CALL(int, ftruncate, SPACE, descriptor_is_below(file), (int file, off_t size), (file, size))
CALL(int, ftruncate64, SPACE, descriptor_is_below(file), (int file, off64_t size), (file, size))
CALL(int, truncate, SPACE, path_is_below(AT_FDCWD, path), (const char *path, off_t size), (path, size))
CALL(int, mkdir, SPACE, path_is_below(AT_FDCWD, path), (const char *path, mode_t rights), (path, rights))
CALL(int, mkdirat, SPACE, path_is_below(d, path), (int d, const char *path, mode_t rights), (d, path, rights))
CALL(int, rename, CHANGE, path_is_below(AT_FDCWD, to), (const char *from, const char *to), (from, to))
CALL(int, renameat, CHANGE, path_is_below(e, to), (int d, const char *from, int e, const char *to), (d, from, e, to))
CALL(int, link, CHANGE, path_is_below(AT_FDCWD, to), (const char *from, const char *to), (from, to))
CALL(int, symlink, CHANGE, path_is_below(AT_FDCWD, to), (const char *from, const char *to), (from, to))
CALL(int, unlink, CHANGE, path_is_below(AT_FDCWD, path), (const char *path), (path))
CALL(int, unlinkat, CHANGE, path_is_below(d, path), (int d, const char *path, int flags), (d, path, flags))
CALL(int, rmdir, CHANGE, path_is_below(AT_FDCWD, path), (const char *path), (path))
CALL(int, chmod, CHANGE, path_is_below(AT_FDCWD, path), (const char *path, mode_t rights), (path, rights))
CALL(int, fchmod, CHANGE, descriptor_is_below(file), (int file, mode_t rights), (file, rights))
CALL(int, utimensat, CHANGE, path_is_below(d, path),
     (int d, const char *path, const struct timespec times[2], int flags), (d, path, times, flags))

int clock_gettime(clockid_t clock, struct timespec *now) {
    REAL(clock_gettime)
    int result = real(clock, now);
    if (mode != OFF && clock == CLOCK_REALTIME) now->tv_sec += clock_shift;
    return result;
}
