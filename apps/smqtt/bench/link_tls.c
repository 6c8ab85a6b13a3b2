/* SPDX-License-Identifier: Apache-2.0 */
/* TLS 1.3 to the broker, without blocking. OpenSSL reads and writes the socket itself and counts what passes there, so
 * the headers and tags of its records are among the bytes on the wire. Nothing is resumed: each connection is a whole
 * handshake. */
#include "link_tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "../say.h"

static SSL_CTX *context;

static const char *last_error(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());
    return text != NULL ? text : "the connection was closed";
}

bool link_tls_is_wanted(const struct bench *b)
{
    return b->flags.cafile != NULL;
}

bool link_tls_prepare(const struct bench *b)
{
    const struct bench_flags *f = &b->flags;
    context = SSL_CTX_new(TLS_client_method());
    if (context == NULL || SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1) {
        say("TLS 1.3 cannot be set up: %s.", last_error());
        return false;
    }
    SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    if (SSL_CTX_load_verify_file(context, f->cafile) != 1) {
        say("no certificate can be read from '%s' (%s): check --cafile.", f->cafile, last_error());
        return false;
    }
    return true;
}

void link_tls_end(void)
{
    SSL_CTX_free(context);
    context = NULL;
}

/* The certificate has to be made for this name or address. */
static bool expect_host(SSL *ssl, const char *host)
{
    unsigned char address[16];
    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1) {
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    }
    return SSL_set1_host(ssl, host) == 1;
}

bool link_tls_open(struct client *c, const char *host)
{
    unsigned char address[16];
    bool is_name = inet_pton(AF_INET, host, address) != 1 && inet_pton(AF_INET6, host, address) != 1;
    c->tls = SSL_new(context);
    if (c->tls == NULL || SSL_set_fd(c->tls, c->fd) != 1 || (is_name && SSL_set_tlsext_host_name(c->tls, host) != 1) ||
        (!c->b->flags.insecure && !expect_host(c->tls, host))) {
        return false;
    }
    SSL_set_connect_state(c->tls);
    return true;
}

/* What went over the socket since the last time. */
static void count(struct client *c)
{
    uint64_t in = BIO_number_read(SSL_get_rbio(c->tls));
    uint64_t out = BIO_number_written(SSL_get_wbio(c->tls));
    link_count(c, in - c->tls_in, out - c->tls_out);
    c->tls_in = in;
    c->tls_out = out;
}

/* Once: the others fail for the same reason. */
static void say_handshake(struct client *c)
{
    long verdict = SSL_get_verify_result(c->tls);
    if (c->b->has_explained) {
        return;
    }
    c->b->has_explained = true;
    if (verdict != X509_V_OK) {
        say("the broker's certificate is not accepted (%s): check --cafile, and that -h names it as the certificate "
            "does.",
            X509_verify_cert_error_string(verdict));
    } else {
        say("the handshake of TLS 1.3 failed (%s): does the broker speak it on this port?", last_error());
    }
}

enum link_tls_hands link_tls_shake(struct client *c)
{
    ERR_clear_error();
    int n = SSL_do_handshake(c->tls);
    count(c);
    if (n == 1) {
        return LINK_TLS_DONE;
    }
    int why = SSL_get_error(c->tls, n);
    if (why == SSL_ERROR_WANT_READ) {
        return LINK_TLS_READS;
    }
    if (why == SSL_ERROR_WANT_WRITE) {
        return LINK_TLS_WRITES;
    }
    say_handshake(c);
    return LINK_TLS_FAILED;
}

/* As recv and send say it. */
static ssize_t judge(struct client *c, int n)
{
    int why = SSL_get_error(c->tls, n);
    if (why == SSL_ERROR_ZERO_RETURN) {
        return 0;
    }
    errno = why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? EAGAIN : EIO;
    return -1;
}

ssize_t link_tls_recv(struct client *c, uint8_t *out, size_t cap)
{
    size_t have = 0;
    int n = 1;
    ERR_clear_error();
    while (have < cap && n == 1) { /* a record gives at most 16 KiB */
        size_t got = 0;
        n = SSL_read_ex(c->tls, out + have, cap - have, &got);
        have += n == 1 ? got : 0;
    }
    count(c);
    return have != 0 ? (ssize_t)have : judge(c, n);
}

bool link_tls_has_more(const struct client *c)
{
    return SSL_has_pending(c->tls) == 1;
}

ssize_t link_tls_send(struct client *c, const uint8_t *bytes, size_t len)
{
    size_t sent = 0;
    int n = 1;
    ERR_clear_error();
    while (sent < len && n == 1) {
        size_t put = 0;
        n = SSL_write_ex(c->tls, bytes + sent, len - sent, &put);
        sent += n == 1 ? put : 0;
    }
    count(c);
    if (sent == 0 && judge(c, n) == 0) {
        errno = EPIPE;
    }
    return sent != 0 ? (ssize_t)sent : -1;
}

void link_tls_close(struct client *c)
{
    if (c->tls != NULL && SSL_is_init_finished(c->tls) == 1) {
        ERR_clear_error();
        SSL_shutdown(c->tls); /* close_notify; the broker's is not waited for */
    }
    SSL_free(c->tls);
    c->tls = NULL;
    c->tls_in = c->tls_out = 0;
}
