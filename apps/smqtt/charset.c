/* SPDX-License-Identifier: Apache-2.0 */
#include "charset.h"

#include <errno.h>
#include <iconv.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/span.h"
#include "say.h"

/** Where one conversion goes; grows, and is kept for the next. */
struct buffer {
    char *text;
    size_t len, cap;
};

struct charset {
    iconv_t to, from;
    struct buffer held, back;
};

/* A character set may take some bytes for each of ours, but not without end. */
enum { GROW_MAX = 16, CAP_LEAST = 256 };

static bool grow(struct buffer *b, size_t limit)
{
    size_t cap = b->cap != 0 ? b->cap * 2 : CAP_LEAST;
    if (b->cap >= limit) {
        return false;
    }
    char *more = realloc(b->text, cap);
    if (more == NULL) {
        return false;
    }
    b->text = more;
    b->cap = cap;
    return true;
}

/** All of `in`, and then the shift sequence that ends it (`in` NULL). True when every character was converted as it is;
 * what was converted until then is in the buffer anyway. */
static bool convert(iconv_t cd, struct buffer *b, char *in, size_t len, size_t limit)
{
    bool exact = true;
    for (;;) {
        char *out = b->text + b->len;
        size_t room = b->cap - b->len;
        size_t n = iconv(cd, in != NULL ? &in : NULL, &len, &out, &room);
        int error = errno;
        b->len = b->cap - room;
        if (n != (size_t)-1) {
            return exact && n == 0; /* n counts what was put in place of something else */
        }
        if (error != E2BIG || !grow(b, limit)) {
            return false;
        }
    }
}

static bool run(iconv_t cd, struct buffer *b, smq_span in)
{
    size_t limit = in.len * GROW_MAX + CAP_LEAST;
    b->len = 0;
    if (b->cap == 0 && !grow(b, limit)) {
        return false;
    }
    iconv(cd, NULL, NULL, NULL, NULL);
    char *text = (char *)(uintptr_t)in.data;
    return (in.len == 0 || convert(cd, b, text, in.len, limit)) && convert(cd, b, NULL, 0, limit);
}

static bool hold(void *ctx, struct smqtt_span utf8, struct smqtt_span *held, struct smqtt_span *back)
{
    struct charset *c = ctx;
    bool ok = run(c->to, &c->held, utf8);
    *held = smq_span_of(c->held.text, c->held.len);
    ok = run(c->from, &c->back, *held) && ok;
    *back = smq_span_of(c->back.text, c->back.len);
    return ok;
}

static bool is_utf8(const char *name)
{
    return strcasecmp(name, "UTF-8") == 0 || strcasecmp(name, "UTF8") == 0;
}

static void release(struct charset *c)
{
    if (c->to != (iconv_t)-1) {
        iconv_close(c->to);
    }
    if (c->from != (iconv_t)-1) {
        iconv_close(c->from);
    }
    free(c->held.text);
    free(c->back.text);
    free(c);
}

bool charset_open(const char *name, struct smqtt_text *out)
{
    *out = (struct smqtt_text){NULL, NULL};
    if (is_utf8(name)) {
        return true;
    }
    /* "//TRANSLIT" and "//IGNORE" would hold something else than what was sent without saying so. */
    if (name[0] == 0 || strchr(name, '/') != NULL) {
        say("'%s' is not the plain name of a character set: give one that `iconv -l` lists, without //.", name);
        return false;
    }
    struct charset *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        say("there is no memory for the character set '%s'.", name);
        return false;
    }
    c->to = iconv_open(name, "UTF-8");
    c->from = iconv_open("UTF-8", name);
    if (c->to == (iconv_t)-1 || c->from == (iconv_t)-1) {
        say("this system does not know the character set '%s': `iconv -l` lists those it knows.", name);
        release(c);
        return false;
    }
    *out = (struct smqtt_text){hold, c};
    return true;
}

void charset_close(struct smqtt_text *text)
{
    if (text->ctx != NULL) {
        release(text->ctx);
    }
    *text = (struct smqtt_text){NULL, NULL};
}
