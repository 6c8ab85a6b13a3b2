/* SPDX-License-Identifier: Apache-2.0 */
/* Gives each file of the named folders and files to a fuzz target once: what a fuzzer has found stays found. */
#include <dirent.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Returns the count of files that were replayed, or -1 when one cannot be read. */
static long replay_file(const char *path, size_t len)
{
    FILE *f = fopen(path, "rb");
    /* The exact size, so that the address sanitizer sees the first byte that is read beyond it. */
    uint8_t *data = malloc(len > 0 ? len : 1);
    long done = -1;

    if (f != NULL && data != NULL && fread(data, 1, len, f) == len) {
        (void)LLVMFuzzerTestOneInput(data, len);
        done = 1;
    } else {
        perror(path);
    }
    free(data);
    if (f != NULL)
        (void)fclose(f);
    return done;
}

static long replay_path(const char *path)
{
    struct stat st;
    struct dirent **list = NULL;
    long sum = 0;
    int n;

    if (stat(path, &st) != 0) {
        perror(path);
        return -1;
    }
    if (!S_ISDIR(st.st_mode))
        return replay_file(path, (size_t)st.st_size);
    n = scandir(path, &list, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        char full[4096];
        int len = snprintf(full, sizeof full, "%s/%s", path, list[i]->d_name);

        if (list[i]->d_name[0] != '.' && sum >= 0 && len > 0 && (size_t)len < sizeof full) {
            long done = replay_path(full);
            sum = done < 0 ? -1 : sum + done;
        }
        free(list[i]);
    }
    free(list);
    return n < 0 ? -1 : sum;
}

int main(int argc, char **argv)
{
    long sum = 0;

    for (int i = 1; i < argc; i++) {
        long done = replay_path(argv[i]);
        if (done < 0)
            return 1;
        sum += done;
    }
    printf("%ld inputs replayed\n", sum);
    return sum > 0 ? 0 : 1;
}
