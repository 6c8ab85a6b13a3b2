/* SPDX-License-Identifier: Apache-2.0 */
/* The file of default flags, one flag with its value per line, as mosquitto_pub(1) describes it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/file.h"
#include "opts.h"
#include "say.h"

enum { PATH_ROOM = 4096, FILE_MOST = 1 << 20, WORDS_MAX = 6 };

/** Where it is; false when the environment names no place. */
static bool find_path(int command, char *out, size_t cap)
{
    const char *name = command == OPTS_P ? "mosquitto_pub" : command == OPTS_S ? "mosquitto_sub" : "mosquitto_rr";
    const char *config = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");
    int n = config != NULL ? snprintf(out, cap, "%s/%s", config, name)
            : home != NULL ? snprintf(out, cap, "%s/.config/%s", home, name)
                           : -1;
    return n > 0 && (size_t)n < cap;
}

/** Cuts a line into words: the flag, and its value, which may have spaces; of -D more words. */
static int split(char *line, char **words)
{
    int n = 0;
    for (char *at = line + strspn(line, " "); *at != 0;) {
        words[n++] = at;
        bool property = strcmp(words[0], "-D") == 0 || strcmp(words[0], "--property") == 0;
        int most = !property ? 2 : n >= 3 && strcmp(words[2], "user-property") == 0 ? 5 : 4;
        char *end = n < most ? strchr(at, ' ') : NULL;
        if (end == NULL || n == WORDS_MAX) {
            break;
        }
        *end = 0;
        at = end + 1;
    }
    return n;
}

static bool read_line(struct opts *o, int command, const char *path, unsigned number, char *line)
{
    char *words[WORDS_MAX];
    int n = line[0] != '#' ? split(line, words) : 0;
    if (n != 0 && !opts_read_words(o, command, n, words)) {
        say("that was line %u of %s, the file of default flags.", number, path);
        return false;
    }
    return true;
}

bool opts_read_file(struct opts *o, int command)
{
    char path[PATH_ROOM];
    if (!find_path(command, path, sizeof(path)) || access(path, R_OK) != 0) {
        return true;
    }
    struct smq_why why;
    struct smq_file_text file;
    if (smq_file_read(path, FILE_MOST, false, &file, &why) != SMQTT_OK) {
        say("%s", why.text);
        return false;
    }
    static char *kept; /* what was read points into it */
    kept = calloc(1, file.len + 1);
    if (kept != NULL) {
        memcpy(kept, file.text, file.len);
    }
    smq_file_free(&file);
    bool ok = kept != NULL;
    unsigned number = 1;
    for (char *line = kept; ok && line != NULL && *line != 0; number++) {
        char *end = strchr(line, '\n');
        if (end != NULL) {
            *end++ = 0;
        }
        line[strcspn(line, "\r")] = 0;
        ok = read_line(o, command, path, number, line);
        line = end;
    }
    return ok;
}
