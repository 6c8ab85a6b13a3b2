/* SPDX-License-Identifier: Apache-2.0 */
#include "ask.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/span.h"
#include "net/file.h"
#include "say.h"

enum { TRIES = 3, SHOWN_MAX = 400 };

static int terminal = -1; /* while a passphrase is read */
static struct termios shown;

/* Nobody's terminal stays without echo. */
static void on_signal(int number)
{
    tcsetattr(terminal, TCSAFLUSH, &shown);
    signal(number, SIG_DFL);
    raise(number);
}

static void show(const char *text)
{
    (void)!smq_file_write_all(terminal, text, strlen(text));
}

/* One line; false when there is none, or it is longer than a passphrase may be. */
static bool take_line(struct smq_passphrase *out)
{
    size_t n = 0;
    for (;;) {
        uint8_t byte = 0;
        ssize_t got = read(terminal, &byte, 1);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0 || (byte != '\n' && n == sizeof out->bytes)) {
            return false;
        }
        if (byte == '\n') {
            out->len = n;
            return true;
        }
        out->bytes[n++] = byte;
    }
}

/* What may end the program while a passphrase is read. One that is ignored, as nohup does it, stays ignored. */
static const int ending[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

static bool read_hidden(const char *prompt, struct smq_passphrase *out)
{
    struct sigaction before[SMQ_ARRAY_LEN(ending)];
    struct sigaction action = {.sa_handler = on_signal};
    struct termios hidden = shown;
    hidden.c_lflag &= ~(tcflag_t)ECHO;
    hidden.c_lflag |= ICANON | ISIG;
    hidden.c_iflag |= ICRNL;
    hidden.c_cc[VSUSP] = _POSIX_VDISABLE; /* who comes back from a shell would type with echo */
    for (size_t i = 0; i < SMQ_ARRAY_LEN(ending); i++) {
        sigaction(ending[i], NULL, &before[i]);
        if (before[i].sa_handler != SIG_IGN) {
            sigaction(ending[i], &action, NULL);
        }
    }
    tcsetattr(terminal, TCSAFLUSH, &hidden);
    show(prompt);
    bool got = take_line(out);
    tcsetattr(terminal, TCSAFLUSH, &shown);
    for (size_t i = 0; i < SMQ_ARRAY_LEN(ending); i++) {
        sigaction(ending[i], &before[i], NULL);
    }
    show("\n");
    return got;
}

static smqtt_err open_terminal(const char *path, struct smq_why *why)
{
    terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (terminal >= 0 && tcgetattr(terminal, &shown) == 0) {
        return SMQTT_OK;
    }
    if (terminal >= 0) {
        close(terminal);
    }
    return smq_why_set(
        why, SMQTT_E_LOCKED,
        "'%s' needs a passphrase, but there is no terminal to ask on: write it into a file with mode 0600 "
        "and name that with --passphrase-file.",
        path);
}

static void make_prompt(char *out, size_t cap, const char *what, const char *path)
{
    char name[SHOWN_MAX];
    smq_text_escape(name, sizeof name, smq_span_str(path));
    snprintf(out, cap, "%s for %s: ", what, name);
}

/* Asks once. */
static smqtt_err ask(const char *what, const char *path, struct smq_passphrase *out, struct smq_why *why)
{
    char prompt[512];
    make_prompt(prompt, sizeof prompt, what, path);
    SMQ_TRY(open_terminal(path, why));
    bool got = read_hidden(prompt, out);
    close(terminal);
    if (!got || out->len == 0) {
        return smq_why_set(why, SMQTT_E_LOCKED, "No passphrase for '%s' was given: try again.", path);
    }
    return SMQTT_OK;
}

static smqtt_err from_file(void *ctx, const char *path, struct smq_passphrase *out, struct smq_why *why)
{
    (void)path;
    return smq_passphrase_read(ctx, out, why);
}

static smqtt_err from_terminal(void *ctx, const char *path, struct smq_passphrase *out, struct smq_why *why)
{
    (void)ctx;
    return ask("Passphrase", path, out, why);
}

struct smq_idfile_ask ask_of(const char *file)
{
    if (file != NULL) {
        return (struct smq_idfile_ask){.ask = from_file, .ctx = (void *)(uintptr_t)file, .tries = 1};
    }
    return (struct smq_idfile_ask){.ask = from_terminal, .tries = TRIES};
}

static smqtt_err ask_twice(const char *what, const char *path, struct smq_passphrase *out, struct smq_why *why)
{
    struct smq_passphrase again = {.len = 0};
    smqtt_err err = ask(what, path, out, why);
    if (err == SMQTT_OK) {
        err = ask("The same again", path, &again, why);
    }
    if (err == SMQTT_OK && (again.len != out->len || memcmp(again.bytes, out->bytes, out->len) != 0)) {
        err = smq_why_set(why, SMQTT_E_USAGE, "The two passphrases differ, and nothing was changed: try again.");
    }
    smq_passphrase_wipe(&again);
    return err;
}

bool ask_new(const char *what, const char *path, const char *file, struct smq_passphrase *out)
{
    struct smq_why why;
    smqtt_err err = file != NULL ? smq_passphrase_read(file, out, &why) : ask_twice(what, path, out, &why);
    if (err != SMQTT_OK) {
        smq_passphrase_wipe(out);
        say("%s", why.text);
    }
    return err == SMQTT_OK;
}
