/* SPDX-License-Identifier: Apache-2.0 */
#include "proc.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_MAX = 4096, UTIME_FIELD = 12 };

static bool read_file(const char *path, char *text, size_t cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t got = read(fd, text, cap - 1);
    close(fd);
    text[got > 0 ? got : 0] = '\0';
    return got > 0;
}

/* Fields 14 and 15 of a stat file, in ticks; the name in parentheses may hold anything. */
static bool stat_ticks(const char *path, double *ticks)
{
    char text[TEXT_MAX];
    if (!read_file(path, text, sizeof text)) {
        return false;
    }
    char *at = strrchr(text, ')');
    for (int i = 0; at != NULL && i < UTIME_FIELD; i++) {
        at = strchr(at + 1, ' ');
    }
    if (at == NULL) {
        return false;
    }
    char *end = NULL;
    double user = strtod(at, &end);
    *ticks = user + strtod(end, NULL);
    return true;
}

/* Nanoseconds on a processor, which is finer than ticks of 10 ms. */
static bool schedstat_ns(const char *path, double *ns)
{
    char text[TEXT_MAX];
    if (!read_file(path, text, sizeof text)) {
        return false;
    }
    *ns = strtod(text, NULL);
    return *ns > 0;
}

static bool cpu_of_threads(long pid, double *cpu_s)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/task", pid);
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return false;
    }
    double sum = 0;
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        char file[sizeof path + sizeof entry->d_name + 16];
        double value = 0;
        snprintf(file, sizeof file, "%s/%s/schedstat", path, entry->d_name);
        if (entry->d_name[0] != '.' && schedstat_ns(file, &value)) {
            sum += value / 1e9;
            continue;
        }
        snprintf(file, sizeof file, "%s/%s/stat", path, entry->d_name);
        if (entry->d_name[0] != '.' && stat_ticks(file, &value)) {
            sum += value / (double)sysconf(_SC_CLK_TCK);
        }
    }
    closedir(dir);
    *cpu_s = sum;
    return true;
}

struct proc_use proc_read(long pid)
{
    struct proc_use use = {0};
    char path[64];
    char text[TEXT_MAX];
    if (pid == 0 || !cpu_of_threads(pid, &use.cpu_s)) {
        return use;
    }
    snprintf(path, sizeof path, "/proc/%ld/status", pid);
    const char *at = read_file(path, text, sizeof text) ? strstr(text, "VmRSS:") : NULL;
    if (at != NULL) {
        use.rss = strtoull(at + strlen("VmRSS:"), NULL, 10) * 1024;
        use.known = true;
    }
    return use;
}
