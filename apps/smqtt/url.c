/* SPDX-License-Identifier: Apache-2.0 */
#include "url.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "opts.h"

/** [user[:password]@]host[:port], taken apart in place. Host in brackets for IPv6. */
struct parts {
    char *user, *password, *host, *port;
};

static bool take_apart(char *text, struct parts *out)
{
    *out = (struct parts){NULL, NULL, text, NULL};
    char *host = strrchr(text, '@');
    if (host != NULL) {
        *host++ = 0;
        out->user = text;
        out->host = host;
        out->password = strchr(text, ':');
        if (out->password != NULL) {
            *out->password++ = 0;
        }
    }
    char *behind = out->host;
    if (out->host[0] == '[') {
        behind = strchr(out->host, ']');
        if (behind == NULL) {
            return false;
        }
        *behind++ = 0;
        out->host++;
    }
    out->port = strchr(behind, ':');
    if (out->port != NULL) {
        *out->port++ = 0;
    }
    return out->host[0] != 0 && (out->user == NULL || out->user[0] != 0);
}

static bool read_port(const char *text, uint16_t *out)
{
    char *end = NULL;
    errno = 0;
    unsigned long v = strtoul(text, &end, 10);
    if (errno != 0 || end == text || *end != 0 || v == 0 || v > UINT16_MAX || text[0] == '-') {
        return false;
    }
    *out = (uint16_t)v;
    return true;
}

bool url_read(struct opts *o, const char *url)
{
    bool tls = strncasecmp(url, "mqtts://", 8) == 0;
    if (!tls && strncasecmp(url, "mqtt://", 7) != 0) {
        return false;
    }
    char *copy = strdup(url + (tls ? 8 : 7)); /* what is read points into it until the program ends */
    char *topic = copy != NULL ? strchr(copy, '/') : NULL;
    if (topic == NULL || o->topics.n == OPTS_LIST_MAX) {
        free(copy);
        return false;
    }
    *topic++ = 0;
    struct parts parts;
    uint16_t port = tls ? 8883 : 1883;
    if (!take_apart(copy, &parts) || (parts.port != NULL && !read_port(parts.port, &port))) {
        free(copy);
        return false;
    }
    o->host = parts.host;
    o->unix_path = NULL;
    o->port = port;
    o->port_given = true;
    o->tls_use_os_certs = o->tls_use_os_certs || tls;
    o->user = parts.user != NULL ? parts.user : o->user;
    o->password = parts.password != NULL ? parts.password : o->password;
    o->topics.item[o->topics.n++] = topic;
    return true;
}

/** %25, %3A and %40 in place; false for any other sequence. */
static bool decode(char *text)
{
    char *to = text;
    for (const char *from = text; from != NULL && *from != 0; from++) {
        if (*from != '%') {
            *to++ = *from;
            continue;
        }
        if (strncmp(from, "%25", 3) != 0 && strncasecmp(from, "%3A", 3) != 0 && strncmp(from, "%40", 3) != 0) {
            return false;
        }
        *to++ = from[1] == '2' ? '%' : from[1] == '3' ? ':' : '@';
        from += 2;
    }
    if (to != NULL) {
        *to = 0;
    }
    return true;
}

bool url_read_proxy(const char *url, struct url_proxy *out)
{
    static const char scheme[] = "socks5h://";
    if (strncmp(url, scheme, sizeof(scheme) - 1) != 0) {
        return false;
    }
    char *copy = strdup(url + sizeof(scheme) - 1); /* as above */
    struct parts parts = {NULL, NULL, NULL, NULL};
    uint16_t port = 1080;
    bool ok = copy != NULL && take_apart(copy, &parts) && decode(parts.user) && decode(parts.password) &&
              (parts.port == NULL || read_port(parts.port, &port));
    ok = ok && (parts.user == NULL || strlen(parts.user) <= 255) &&
         (parts.password == NULL || strlen(parts.password) <= 255); /* RFC 1929 */
    if (!ok) {
        free(copy);
        return false;
    }
    *out = (struct url_proxy){parts.host, parts.port != NULL ? parts.port : "1080", parts.user, parts.password};
    return true;
}
