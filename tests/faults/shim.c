/* Fails chosen system calls on files below a prefix, in every process that loads it; disarmed it only passes on. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum mode { OFF, ONCE, ONWARD, LIE };

/* Shared by all processes; tests/faults/shim.py knows the same layout. */
struct control {
    uint32_t mode;  /* OFF; fail one call; fail it and all later ones; or claim to have synced and not do it */
    uint32_t error; /* the errno */
    uint64_t at;    /* which call fails, counted from 1 */
    uint64_t calls; /* how many were counted */
    uint64_t hits;  /* how many failed */
    uint64_t synced; /* how many times a folder refs/heads was really synced */
    char what[512]; /* the first call that failed */
};

static struct control *control;
static const char *prefix;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void load(void)
{
    const char *path = getenv("FAULT_CONTROL");
    prefix = getenv("FAULT_PREFIX");
    if (!path || !prefix)
        return;
    int fd = REAL(open)(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    void *found = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (found != MAP_FAILED)
        control = found;
}

static int below(const char *path)
{
    return strncmp(path, prefix, strlen(prefix)) == 0;
}

static int named(int fd, char *path)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, PATH_MAX - 1);
    path[size < 0 ? 0 : size] = 0;
    return size > 0 && below(path);
}

static int located(int folder, const char *given, char *path)
{
    char base[PATH_MAX] = "";
    if (given[0] == '/') {
        snprintf(path, PATH_MAX, "%s", given);
        return below(path);
    }
    if (folder != AT_FDCWD)
        named(folder, base);
    else if (!getcwd(base, sizeof base))
        return 0;
    if (snprintf(path, PATH_MAX, "%s/%s", base, given) >= PATH_MAX)
        return 0;
    return below(path);
}

/* 0: let it pass; 1: fail with errno set; 2: the first of many, which a write may do by halves. */
static int strikes(const char *call, const char *path)
{
    if (control->mode != ONCE && control->mode != ONWARD)
        return 0;
    uint64_t number = __atomic_add_fetch(&control->calls, 1, __ATOMIC_SEQ_CST);
    if (number < control->at || (number > control->at && control->mode == ONCE))
        return 0;
    if (__atomic_add_fetch(&control->hits, 1, __ATOMIC_SEQ_CST) == 1)
        snprintf(control->what, sizeof control->what, "%s %s", call, path);
    errno = control->error;
    return number == control->at && control->mode == ONWARD ? 2 : 1;
}

static int at_fd(const char *call, int fd)
{
    char path[PATH_MAX];
    int kept = errno, struck = 0;
    if (control && control->mode != OFF && named(fd, path))
        struck = strikes(call, path);
    if (!struck)
        errno = kept;
    return struck;
}

static int at_path(const char *call, int folder, const char *given)
{
    char path[PATH_MAX];
    int kept = errno, struck = 0;
    if (control && control->mode != OFF && located(folder, given, path))
        struck = strikes(call, path);
    if (!struck)
        errno = kept;
    return struck;
}

/* --- bytes --- */

#define HALF(size, struck) ((struck) == 2 && (size) > 1 ? (size) / 2 : 0)

ssize_t write(int fd, const void *bytes, size_t size)
{
    int struck = at_fd("write", fd);
    size_t half = HALF(size, struck);
    return struck && !half ? -1 : REAL(write)(fd, bytes, half ? half : size);
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t place)
{
    int struck = at_fd("pwrite", fd);
    size_t half = HALF(size, struck);
    return struck && !half ? -1 : REAL(pwrite)(fd, bytes, half ? half : size, place);
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t place)
{
    int struck = at_fd("pwrite", fd);
    size_t half = HALF(size, struck);
    return struck && !half ? -1 : REAL(pwrite64)(fd, bytes, half ? half : size, place);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    return at_fd("writev", fd) ? -1 : REAL(writev)(fd, parts, count);
}

int ftruncate(int fd, off_t size) { return at_fd("ftruncate", fd) ? -1 : REAL(ftruncate)(fd, size); }
int ftruncate64(int fd, off64_t size) { return at_fd("ftruncate", fd) ? -1 : REAL(ftruncate64)(fd, size); }

/* --- syncing --- */

static int lies(int fd)
{
    char path[PATH_MAX];
    return control && control->mode == LIE && named(fd, path);
}

static int synced(int fd, int result)
{
    char path[PATH_MAX];
    if (result == 0 && control && named(fd, path)) {
        size_t size = strlen(path);
        if (size > 11 && strcmp(path + size - 11, "/refs/heads") == 0)
            __atomic_add_fetch(&control->synced, 1, __ATOMIC_SEQ_CST);
    }
    return result;
}

int fsync(int fd) { return lies(fd) ? 0 : at_fd("fsync", fd) ? -1 : synced(fd, REAL(fsync)(fd)); }
int fdatasync(int fd) { return lies(fd) ? 0 : at_fd("fdatasync", fd) ? -1 : synced(fd, REAL(fdatasync)(fd)); }

int sync_file_range(int fd, off64_t from, off64_t size, unsigned flags)
{
    return lies(fd) ? 0 : at_fd("sync_file_range", fd) ? -1 : REAL(sync_file_range)(fd, from, size, flags);
}

/* --- names --- */

static mode_t rights(int flags, va_list rest) { return flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0; }

#define OPEN(name)                                                                        \
    int name(const char *path, int flags, ...)                                            \
    {                                                                                     \
        va_list rest;                                                                     \
        va_start(rest, flags);                                                            \
        mode_t mode = rights(flags, rest);                                                \
        va_end(rest);                                                                     \
        return flags & O_CREAT && at_path("create", AT_FDCWD, path) ? -1 : REAL(name)(path, flags, mode); \
    }
#define OPENAT(name)                                                                      \
    int name(int folder, const char *path, int flags, ...)                                \
    {                                                                                     \
        va_list rest;                                                                     \
        va_start(rest, flags);                                                            \
        mode_t mode = rights(flags, rest);                                                \
        va_end(rest);                                                                     \
        return flags & O_CREAT && at_path("create", folder, path) ? -1 : REAL(name)(folder, path, flags, mode); \
    }

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

int creat(const char *path, mode_t mode) { return at_path("create", AT_FDCWD, path) ? -1 : REAL(creat)(path, mode); }
int mkdir(const char *path, mode_t mode) { return at_path("mkdir", AT_FDCWD, path) ? -1 : REAL(mkdir)(path, mode); }
int unlink(const char *path) { return at_path("unlink", AT_FDCWD, path) ? -1 : REAL(unlink)(path); }
int link(const char *from, const char *to) { return at_path("link", AT_FDCWD, to) ? -1 : REAL(link)(from, to); }

int linkat(int from, const char *old, int to, const char *new, int flags)
{
    return at_path("link", to, new) ? -1 : REAL(linkat)(from, old, to, new, flags);
}

int rename(const char *from, const char *to) { return at_path("rename", AT_FDCWD, to) ? -1 : REAL(rename)(from, to); }

int renameat(int from, const char *old, int to, const char *new)
{
    return at_path("rename", to, new) ? -1 : REAL(renameat)(from, old, to, new);
}

int renameat2(int from, const char *old, int to, const char *new, unsigned flags)
{
    return at_path("rename", to, new) ? -1 : REAL(renameat2)(from, old, to, new, flags);
}
