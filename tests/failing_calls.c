/* Lets the n-th system call of a process and its children fail, among those that work below given folders.
 *
 * Loaded with LD_PRELOAD, it does nothing until the environment has FAILING_CALLS:
 *
 *   calls=open,write;n=3;errno=28;sticky=1;kill=0;count=/tmp/counter;under=/node:/store one
 *
 * The n-th call of one of these sorts gives the error (kill: ends its process), with sticky every one after it
 * too. Calls are counted in a file that all processes share: first all of them, then each sort below each folder; with
 * n=0 they are only counted. Sorts: open write fsync rename link unlink mkdir chmod truncate read stat opendir flock
 * close.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static const char *const sorts[] = {"open", "write", "fsync", "rename", "link", "unlink", "mkdir", "chmod",
                                    "truncate", "read", "stat", "opendir", "flock", "close", NULL};
enum sort { OPEN, WRITE, FSYNC, RENAME, LINK, UNLINK, MKDIR, CHMOD, TRUNCATE, READ, STAT, OPENDIR, FLOCK, CLOSE };

static struct { int ready, code, sticky, kill; long n; unsigned sorts; char *under[16]; atomic_long *count; } plan;
static __thread int inside;
#define SORTS 16
#define COUNTERS (1 + 16 * SORTS)

static int value(const char *text, const char *key, char *into, size_t size) {
    const char *at = strstr(text, key);
    if (!at) return 0;
    at += strlen(key);
    size_t length = strcspn(at, ";");
    if (length >= size) length = size - 1;
    memcpy(into, at, length);
    into[length] = 0;
    return 1;
}

static void prepare(const char *text) {
    static char part[8192];
    int under = 0;
    if (value(text, "n=", part, sizeof part)) plan.n = atol(part);
    if (value(text, "errno=", part, sizeof part)) plan.code = atoi(part);
    if (value(text, "sticky=", part, sizeof part)) plan.sticky = atoi(part);
    if (value(text, "kill=", part, sizeof part)) plan.kill = atoi(part);
    if (value(text, "calls=", part, sizeof part))
        for (char *rest = part, *name; (name = strsep(&rest, ","));)
            for (int i = 0; sorts[i]; i++)
                if (!strcmp(sorts[i], name)) plan.sorts |= 1u << i;
    if (value(text, "count=", part, sizeof part)) {
        int file = syscall(SYS_openat, AT_FDCWD, part, O_RDWR | O_CLOEXEC);
        void *shared = mmap(NULL, sizeof(atomic_long) * COUNTERS, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        syscall(SYS_close, file);
        if (shared != MAP_FAILED) plan.count = shared;
    }
    if (value(text, "under=", part, sizeof part))
        for (char *rest = part, *name; (name = strsep(&rest, ":")) && under < 15;) plan.under[under++] = strdup(name);
    plan.ready = 1;
}

/* Whether this call is to fail; errno says how. */
static int fails(enum sort sort, const char *path) {
    if (inside) return 0;
    if (!plan.ready) {
        const char *text = getenv("FAILING_CALLS");
        if (!text) return 0;
        inside = 1;
        prepare(text);
        inside = 0;
    }
    if (!plan.count || !(plan.sorts & 1u << sort) || !path) return 0;
    for (int i = 0; plan.under[i]; i++) {
        size_t length = strlen(plan.under[i]);
        if (strncmp(path, plan.under[i], length) || (path[length] && path[length] != '/')) continue;
        long number = atomic_fetch_add(plan.count, 1) + 1;
        atomic_fetch_add(plan.count + 1 + i * SORTS + sort, 1);
        if (!plan.n || number < plan.n || (number > plan.n && !plan.sticky)) return 0;
        if (plan.kill) kill(getpid(), SIGKILL);
        errno = plan.code;
        return 1;
    }
    return 0;
}

static const char *of_file(int file, char *into) {
    char link[48];
    if (!plan.ready && !getenv("FAILING_CALLS")) return NULL;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, into, PATH_MAX - 1);
    if (length < 0) return NULL;
    into[length] = 0;
    return into;
}

static const char *absolute(int folder, const char *path, char *into) {
    if (!path || path[0] == '/' || (!plan.ready && !getenv("FAILING_CALLS"))) return path;
    char base[PATH_MAX];
    if (folder == AT_FDCWD) {
        if (syscall(SYS_getcwd, base, sizeof base) < 0) return NULL;
    } else if (!of_file(folder, base)) return NULL;
    snprintf(into, PATH_MAX, "%.2047s/%.2047s", base, path);
    return into;
}

#define NEXT(result, name, ...) \
    static result (*next)(__VA_ARGS__); \
    if (!next) next = (result(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)
#define PATHS char room[PATH_MAX]

static int opened(int (*next)(int, const char *, int, ...), int folder, const char *path, int flags, mode_t mode) {
    PATHS;
    if (fails(OPEN, absolute(folder, path, room))) return -1;
    return next(folder, path, flags, mode);
}

#define OPENS(name, next_name) \
    int name(const char *path, int flags, ...) { \
        NEXT(int, next_name, int, const char *, int, ...); \
        va_list more; va_start(more, flags); mode_t mode = va_arg(more, mode_t); va_end(more); \
        return opened(next, AT_FDCWD, path, flags, mode); }
#define OPENS_AT(name) \
    int name(int folder, const char *path, int flags, ...) { \
        NEXT(int, #name, int, const char *, int, ...); \
        va_list more; va_start(more, flags); mode_t mode = va_arg(more, mode_t); va_end(more); \
        return opened(next, folder, path, flags, mode); }
OPENS(open, "openat") OPENS(open64, "openat64") OPENS_AT(openat) OPENS_AT(openat64)

#define ON_FILE(result, sort, name, parameters, types, arguments) \
    result name parameters { \
        NEXT(result, #name, types); PATHS; \
        if (fails(sort, of_file(file, room))) return -1; \
        return next arguments; }
#define T(...) __VA_ARGS__
ON_FILE(ssize_t, WRITE, write, (int file, const void *data, size_t size), T(int, const void *, size_t), (file, data, size))
ON_FILE(ssize_t, WRITE, pwrite, (int file, const void *data, size_t size, off_t at), T(int, const void *, size_t, off_t), (file, data, size, at))
ON_FILE(ssize_t, WRITE, pwrite64, (int file, const void *data, size_t size, off_t at), T(int, const void *, size_t, off_t), (file, data, size, at))
ON_FILE(ssize_t, WRITE, writev, (int file, const struct iovec *data, int count), T(int, const struct iovec *, int), (file, data, count))
ON_FILE(ssize_t, READ, read, (int file, void *data, size_t size), T(int, void *, size_t), (file, data, size))
ON_FILE(ssize_t, READ, pread, (int file, void *data, size_t size, off_t at), T(int, void *, size_t, off_t), (file, data, size, at))
ON_FILE(ssize_t, READ, pread64, (int file, void *data, size_t size, off_t at), T(int, void *, size_t, off_t), (file, data, size, at))
ON_FILE(ssize_t, READ, readv, (int file, const struct iovec *data, int count), T(int, const struct iovec *, int), (file, data, count))
ON_FILE(int, FSYNC, fsync, (int file), T(int), (file))
ON_FILE(int, FSYNC, fdatasync, (int file), T(int), (file))
ON_FILE(int, FSYNC, syncfs, (int file), T(int), (file))
ON_FILE(int, TRUNCATE, ftruncate, (int file, off_t size), T(int, off_t), (file, size))
ON_FILE(int, TRUNCATE, ftruncate64, (int file, off_t size), T(int, off_t), (file, size))
ON_FILE(int, CHMOD, fchmod, (int file, mode_t mode), T(int, mode_t), (file, mode))
ON_FILE(int, STAT, fstat, (int file, struct stat *into), T(int, struct stat *), (file, into))
ON_FILE(int, STAT, fstat64, (int file, struct stat64 *into), T(int, struct stat64 *), (file, into))
ON_FILE(int, CLOSE, close, (int file), T(int), (file))
ON_FILE(int, FLOCK, flock, (int file, int how), T(int, int), (file, how))

#define ON_PATH(result, failed, sort, name, folder, parameters, types, arguments) \
    result name parameters { \
        NEXT(result, #name, types); PATHS; \
        if (fails(sort, absolute(folder, path, room))) return failed; \
        return next arguments; }
ON_PATH(int, -1, TRUNCATE, truncate, AT_FDCWD, (const char *path, off_t size), T(const char *, off_t), (path, size))
ON_PATH(int, -1, CHMOD, chmod, AT_FDCWD, (const char *path, mode_t mode), T(const char *, mode_t), (path, mode))
ON_PATH(int, -1, CHMOD, fchmodat, folder, (int folder, const char *path, mode_t mode, int flags), T(int, const char *, mode_t, int), (folder, path, mode, flags))
ON_PATH(int, -1, MKDIR, mkdir, AT_FDCWD, (const char *path, mode_t mode), T(const char *, mode_t), (path, mode))
ON_PATH(int, -1, MKDIR, mkdirat, folder, (int folder, const char *path, mode_t mode), T(int, const char *, mode_t), (folder, path, mode))
ON_PATH(int, -1, UNLINK, unlink, AT_FDCWD, (const char *path), T(const char *), (path))
ON_PATH(int, -1, UNLINK, unlinkat, folder, (int folder, const char *path, int flags), T(int, const char *, int), (folder, path, flags))
ON_PATH(int, -1, UNLINK, rmdir, AT_FDCWD, (const char *path), T(const char *), (path))
ON_PATH(int, -1, STAT, stat, AT_FDCWD, (const char *path, struct stat *into), T(const char *, struct stat *), (path, into))
ON_PATH(int, -1, STAT, stat64, AT_FDCWD, (const char *path, struct stat64 *into), T(const char *, struct stat64 *), (path, into))
ON_PATH(int, -1, STAT, lstat, AT_FDCWD, (const char *path, struct stat *into), T(const char *, struct stat *), (path, into))
ON_PATH(int, -1, STAT, lstat64, AT_FDCWD, (const char *path, struct stat64 *into), T(const char *, struct stat64 *), (path, into))
ON_PATH(int, -1, STAT, fstatat, folder, (int folder, const char *path, struct stat *into, int flags), T(int, const char *, struct stat *, int), (folder, path, into, flags))
ON_PATH(int, -1, STAT, fstatat64, folder, (int folder, const char *path, struct stat64 *into, int flags), T(int, const char *, struct stat64 *, int), (folder, path, into, flags))
ON_PATH(DIR *, NULL, OPENDIR, opendir, AT_FDCWD, (const char *path), T(const char *), (path))

#define ON_TWO(sort, name, from_folder, to_folder, parameters, types, arguments) \
    int name parameters { \
        NEXT(int, #name, types); PATHS; \
        if (fails(sort, absolute(to_folder, to, room))) return -1; \
        return next arguments; }
ON_TWO(RENAME, rename, AT_FDCWD, AT_FDCWD, (const char *from, const char *to), T(const char *, const char *), (from, to))
ON_TWO(RENAME, renameat, f, t, (int f, const char *from, int t, const char *to), T(int, const char *, int, const char *), (f, from, t, to))
ON_TWO(RENAME, renameat2, f, t, (int f, const char *from, int t, const char *to, unsigned flags), T(int, const char *, int, const char *, unsigned), (f, from, t, to, flags))
ON_TWO(LINK, link, AT_FDCWD, AT_FDCWD, (const char *from, const char *to), T(const char *, const char *), (from, to))
ON_TWO(LINK, linkat, f, t, (int f, const char *from, int t, const char *to, int flags), T(int, const char *, int, const char *, int), (f, from, t, to, flags))
