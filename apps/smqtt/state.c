/* SPDX-License-Identifier: Apache-2.0 */
#include "state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/log.h"
#include "net/clock.h"
#include "net/journal.h"
#include "net/statefile.h"
#include "say.h"

enum { PATH_ROOM = 4096 };

struct state {
    char dir[PATH_ROOM];
    struct smq_statefile *sessions, *clients;
    struct smq_journal *journal;
};

/** DIR itself, or the directory beside an identity file. */
static bool state_dir(const char *dir, const char *identity, char *out)
{
    int n = dir != NULL ? snprintf(out, PATH_ROOM, "%s", dir) : snprintf(out, PATH_ROOM, "%s.state", identity);
    if (n >= PATH_ROOM) {
        say("the path '%s' is too long.", dir != NULL ? dir : identity);
        return false;
    }
    return true;
}

struct state *state_open(const char *dir, const char *identity)
{
    struct smq_why why;
    struct state *state = calloc(1, sizeof(*state));
    if (state == NULL || !state_dir(dir, identity, state->dir)) {
        free(state);
        return NULL;
    }
    if (smq_statefile_open(state->dir, "sessions", NULL, &state->sessions, &why) != SMQTT_OK ||
        smq_journal_open(state->dir, 0, &state->journal, &why) != SMQTT_OK) {
        say("%s", why.text);
        state_close(state);
        return NULL;
    }
    return state;
}

const struct smqtt_store *state_sessions(const struct state *state)
{
    return smq_statefile_store(state->sessions);
}

const struct smqtt_store *state_clients(struct state *state)
{
    struct smq_why why;
    if (state->clients == NULL && smq_statefile_open(state->dir, "clients", NULL, &state->clients, &why) != SMQTT_OK) {
        say("%s", why.text);
        return NULL;
    }
    return smq_statefile_store(state->clients);
}

void state_journal(struct state *state, const struct smqtt_journal_entry *entry)
{
    if (smq_journal_append(state->journal, smq_clock_now().wall, entry) != SMQTT_OK) {
        say("a line of the journal could not be written: is the disk full?");
    }
}

void state_close(struct state *state)
{
    if (state == NULL) {
        return;
    }
    smq_journal_close(state->journal);
    smq_statefile_close(state->clients);
    smq_statefile_close(state->sessions);
    free(state);
}

/* ---------------------------------------------------------------- smqtt id journal */

static const char *verdict_text(uint8_t verdict)
{
    return verdict == 0xFF ? "saved" : verdict == 0xFE ? "no answer" : verdict == 1 ? "confirmed" : "rejected";
}

static void print_line(void *arg, const struct smq_journal_line *line)
{
    (void)arg;
    char when[32] = "?";
    char client[512];
    char topic[1024];
    char name[SMQTT_NAME_MAX * 4 + 1];
    time_t seconds = (time_t)(line->at / 1000);
    struct tm tm;
    if (gmtime_r(&seconds, &tm) != NULL) {
        strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
    }
    smq_text_escape(client, sizeof(client), line->client_id);
    smq_text_escape(topic, sizeof(topic), line->topic);
    smq_text_escape(name, sizeof(name), line->name);
    printf("%s  ", when);
    for (size_t i = 0; i < sizeof(line->cid); i++) {
        printf("%02x", line->cid[i]);
    }
    printf("  %-9s  flag %u  %-14s  ts1 %llu  ts2 %llu  client %s (%s)  topic %s", verdict_text(line->verdict),
           line->flag, smqtt_status_name(line->status), (unsigned long long)line->ts1, (unsigned long long)line->ts2,
           client, line->has_peer ? name : "anonymous", topic);
    if (line->ciphertext.len != 0) {
        printf("  ciphertext ");
        for (size_t i = 0; i < line->ciphertext.len; i++) {
            printf("%02x", line->ciphertext.data[i]);
        }
    }
    putchar('\n');
}

bool state_show_journal(const char *dir_or_identity)
{
    char path[PATH_ROOM];
    struct smq_why why;
    struct stat st;
    bool is_dir = stat(dir_or_identity, &st) == 0 && S_ISDIR(st.st_mode);
    if (!state_dir(is_dir ? dir_or_identity : NULL, dir_or_identity, path)) {
        return false;
    }
    unsigned bad = 0;
    if (smq_journal_read(path, print_line, NULL, &bad, &why) != SMQTT_OK) {
        say("%s", why.text);
        return false;
    }
    if (bad != 0) {
        say("%u lines of the journal in '%s' were torn and left out.", bad, path);
    }
    return true;
}
