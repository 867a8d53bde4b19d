/* Refuses what Windows refuses of files that are open: to rename, replace or remove one, or to rename a folder above it.
 *
 * Loaded with LD_PRELOAD. A process meets the files that it has open itself; each refusal is EACCES, as it is there, and
 * a line in the file that FILES_IN_USE names. What SQLite does with files of its own is left to it,
 * and locks: elsewhere they are given back before they are removed.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int ends_with(const char *text, const char *end) {
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && !strcmp(text + length - tail, end);
}

static const char *whole(int folder, const char *path, char *into) {
    char link[48];
    if (path[0] == '/') return path;
    snprintf(link, sizeof link, folder == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", folder);
    ssize_t length = readlink(link, into, PATH_MAX / 2);
    if (length < 0) return path;
    snprintf(into + length, PATH_MAX - length, "/%s", path);
    return into;
}

static int in_use(const char *call, int folder, const char *path) {
    const char *log = getenv("FILES_IN_USE");
    char room[PATH_MAX], real[PATH_MAX], name[PATH_MAX];
    if (!log || !path || ends_with(path, ".lock") || ends_with(path, "-wal") || ends_with(path, "-shm") || ends_with(path, "-journal")) return 0;
    int before = errno, found = 0;
    struct stat link;
    const char *asked = whole(folder, path, room);
    if (lstat(asked, &link) || S_ISLNK(link.st_mode) || !realpath(asked, real)) { errno = before; return 0; }
    size_t length = strlen(real);
    DIR *open_files = opendir("/proc/self/fd");
    if (!open_files) { errno = before; return 0; }
    for (struct dirent *entry; !found && (entry = readdir(open_files));) {
        struct stat status;
        ssize_t size = readlinkat(dirfd(open_files), entry->d_name, name, sizeof name - 1);
        if (size <= 0 || fstatat(dirfd(open_files), entry->d_name, &status, 0) || !S_ISREG(status.st_mode)) continue;
        name[size] = 0;
        found = !strncmp(name, real, length) && (!name[length] || name[length] == '/');
    }
    closedir(open_files);
    errno = before;
    if (!found) return 0;
    FILE *told = fopen(log, "a");
    if (told) { fprintf(told, "%s %s (%s is open)\n", call, real, name); fclose(told); }
    errno = EACCES;
    return 1;
}

#define NEXT(name, ...) \
    static int (*next)(__VA_ARGS__); \
    if (!next) next = (int (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

int unlink(const char *path) { NEXT(unlink, const char *); return in_use("remove", AT_FDCWD, path) ? -1 : next(path); }
int unlinkat(int folder, const char *path, int flags) {
    NEXT(unlinkat, int, const char *, int);
    return in_use("remove", folder, path) ? -1 : next(folder, path, flags);
}
int rename(const char *from, const char *to) {
    NEXT(rename, const char *, const char *);
    return in_use("rename", AT_FDCWD, from) || in_use("replace", AT_FDCWD, to) ? -1 : next(from, to);
}
int renameat(int f, const char *from, int t, const char *to) {
    NEXT(renameat, int, const char *, int, const char *);
    return in_use("rename", f, from) || in_use("replace", t, to) ? -1 : next(f, from, t, to);
}
int renameat2(int f, const char *from, int t, const char *to, unsigned flags) {
    NEXT(renameat2, int, const char *, int, const char *, unsigned);
    return in_use("rename", f, from) || in_use("replace", t, to) ? -1 : next(f, from, t, to, flags);
}
