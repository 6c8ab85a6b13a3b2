/* SPDX-License-Identifier: Apache-2.0 */
#include "tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "dial.h"
#include "say.h"

enum { PSK_MAX = 512, TLS_PORT = 8883 };

struct tls {
    SSL *ssl;
    short events;
};

static SSL_CTX *context; /* of all connections of the program */
static const char *psk_identity;
static unsigned char psk[PSK_MAX];
static size_t psk_len;

bool tls_is_wanted(const struct opts *o)
{
    return o->cafile != NULL || o->capath != NULL || o->psk != NULL || o->tls_use_os_certs || o->port == TLS_PORT;
}

static const char *last_error(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());
    return text != NULL ? text : "no reason is known";
}

/* ---------------------------------------------------------------- setting up */

static unsigned give_psk(SSL *ssl, const char *hint, char *identity, unsigned identity_cap, unsigned char *out,
                         unsigned cap)
{
    (void)ssl;
    (void)hint;
    size_t len = strlen(psk_identity);
    if (len >= identity_cap || psk_len > cap) {
        return 0;
    }
    memcpy(identity, psk_identity, len + 1);
    memcpy(out, psk, psk_len);
    return (unsigned)psk_len;
}

/** As brokers read their files of keys: pairs of digits; with an odd number of them the first one stands alone. */
static bool read_psk(const struct opts *o)
{
    BIGNUM *number = NULL;
    size_t zeros = 0;
    while (strncmp(o->psk + 2 * zeros, "00", 2) == 0) {
        zeros++;
    }
    int digits = BN_hex2bn(&number, o->psk);
    bool ok = digits > 0 && (size_t)digits == strlen(o->psk) && zeros + (size_t)BN_num_bytes(number) <= PSK_MAX;
    if (ok) {
        psk_len = zeros + (size_t)BN_bn2bin(number, psk + zeros); /* psk starts as zeros */
    }
    BN_free(number);
    if (!ok) {
        say("the key of --psk is not hexadecimal, or has more than %d bytes: check it.", PSK_MAX);
    }
    return ok;
}

static bool check_flags(const struct opts *o)
{
    if ((o->cert == NULL) != (o->key == NULL)) {
        say("--cert and --key belong together: give %s, too.", o->cert == NULL ? "--cert" : "--key");
    } else if (o->tls_engine != NULL || o->tls_engine_kpass != NULL ||
               (o->keyform != NULL && strcmp(o->keyform, "pem") != 0)) {
        say("keys in engines are not supported: put the key into a PEM file and give it with --key.");
    } else if (o->keyform != NULL && o->key == NULL) {
        say("--keyform says what --key is: give --key, too.");
    } else if (o->psk != NULL && (o->cafile != NULL || o->capath != NULL)) {
        say("--psk and certificates exclude each other: leave --psk or --cafile and --capath out.");
    } else if ((o->psk == NULL) != (o->psk_identity == NULL)) {
        say("--psk and --psk-identity belong together: give %s, too.", o->psk == NULL ? "--psk" : "--psk-identity");
    } else if (o->cert != NULL && !tls_is_wanted(o)) {
        say("--cert is of use with TLS only: say whom to trust with --cafile, --capath or --tls-use-os-certs.");
    } else {
        return true;
    }
    return false;
}

static bool set_version(const struct opts *o)
{
    static const struct {
        const char *name;
        int min, max;
    } versions[] = {
        {"tlsv1.3", TLS1_3_VERSION, TLS1_3_VERSION}, {"tlsv1.2", TLS1_2_VERSION, 0}, {"tlsv1.1", TLS1_1_VERSION, 0}};
    const char *name = o->tls_version != NULL ? o->tls_version : "tlsv1.2";
    for (size_t i = 0; i < SMQ_ARRAY_LEN(versions); i++) {
        if (strcmp(name, versions[i].name) == 0) {
            return SSL_CTX_set_min_proto_version(context, versions[i].min) == 1 &&
                   SSL_CTX_set_max_proto_version(context, versions[i].max) == 1;
        }
    }
    say("'%s' is not a version of TLS: take tlsv1.3, tlsv1.2 or tlsv1.1.", name);
    return false;
}

static bool set_trust(const struct opts *o)
{
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    if (o->psk != NULL) {
        psk_identity = o->psk_identity;
        SSL_CTX_set_psk_client_callback(context, give_psk);
        return read_psk(o); /* no authority is trusted: a broker that does not hold the key is refused */
    }
    if (o->cafile != NULL && SSL_CTX_load_verify_file(context, o->cafile) != 1) {
        say("no certificate can be read from '%s' (%s): check --cafile.", o->cafile, last_error());
        return false;
    }
    if (o->capath != NULL && SSL_CTX_load_verify_dir(context, o->capath) != 1) {
        say("the folder '%s' cannot be used (%s): check --capath.", o->capath, last_error());
        return false;
    }
    bool system = o->tls_use_os_certs || (o->cafile == NULL && o->capath == NULL);
    if (system && SSL_CTX_set_default_verify_paths(context) != 1) {
        say("the system's certificates cannot be used (%s): give --cafile.", last_error());
        return false;
    }
    return true;
}

static bool set_own(const struct opts *o)
{
    if (o->cert == NULL) {
        return true;
    }
    if (SSL_CTX_use_certificate_chain_file(context, o->cert) != 1) {
        say("our certificate cannot be read from '%s' (%s): check --cert.", o->cert, last_error());
        return false;
    }
    if (SSL_CTX_use_PrivateKey_file(context, o->key, SSL_FILETYPE_PEM) != 1) {
        say("the key cannot be used from '%s' (%s): check that it is that of --cert.", o->key, last_error());
        return false;
    }
    return true;
}

static bool set_rest(const struct opts *o)
{
    if (o->ciphers != NULL && SSL_CTX_set_cipher_list(context, o->ciphers) != 1) {
        say("none of the ciphers '%s' can be used: see openssl ciphers.", o->ciphers);
        return false;
    }
    if (o->tls_alpn == NULL) {
        return true;
    }
    unsigned char wire[256];
    size_t len = strlen(o->tls_alpn);
    if (len == 0 || len > 255) {
        say("the protocol of --tls-alpn has to have 1 to 255 bytes.");
        return false;
    }
    wire[0] = (unsigned char)len;
    memcpy(wire + 1, o->tls_alpn, len);
    return SSL_CTX_set_alpn_protos(context, wire, (unsigned)len + 1) == 0;
}

bool tls_prepare(const struct opts *o)
{
    if (!check_flags(o)) {
        return false;
    }
    if (!tls_is_wanted(o)) {
        return true;
    }
    context = SSL_CTX_new(TLS_client_method());
    if (context == NULL) {
        say("TLS cannot be set up: %s.", last_error());
        return false;
    }
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return set_version(o) && set_trust(o) && set_own(o) && set_rest(o);
}

/* ---------------------------------------------------------------- connections */

/** The common name, for certificates of the kind that has no other names. */
static bool is_common_name(const X509 *cert, const char *host)
{
    char name[256];
    int len = X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, name, sizeof(name));
    return len > 0 && (size_t)len == strlen(host) && memcmp(name, host, (size_t)len) == 0 &&
           X509_get_ext_by_NID(cert, NID_subject_alt_name, -1) < 0;
}

/** Was the certificate made for this host? */
static bool is_for_host(X509 *cert, const char *host)
{
    unsigned char address[16];
    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1) {
        return X509_check_ip_asc(cert, host, 0) == 1 || is_common_name(cert, host);
    }
    return X509_check_host(cert, host, 0, 0, NULL) == 1;
}

static bool check_host(const struct opts *o, const SSL *ssl, const char *host)
{
    if (o->psk != NULL || o->insecure) {
        return true; /* who holds the key is the broker */
    }
    X509 *cert = SSL_get1_peer_certificate(ssl);
    bool ok = cert != NULL && is_for_host(cert, host);
    X509_free(cert);
    if (!ok) {
        say("the broker's certificate was not made for the host '%s': connect by a name that stands in it, or, in a "
            "trial, add --insecure.",
            host);
    }
    return ok;
}

static void say_handshake(const SSL *ssl, const char *host)
{
    long verdict = SSL_get_verify_result(ssl);
    if (verdict != X509_V_OK) {
        say("the certificate of %s is not accepted (%s): check --cafile, and who answers there.", host,
            X509_verify_cert_error_string(verdict));
    } else if (ERR_peek_last_error() != 0) {
        say("TLS with %s failed (%s): does the broker speak TLS there, and as the flags say?", host, last_error());
    } else {
        say("TLS with %s failed (%s): does the broker speak TLS there?", host,
            errno == ETIMEDOUT ? "no answer in time" : "the connection was closed");
    }
}

static bool shake_hands(SSL *ssl, int fd, smqtt_ms until)
{
    for (;;) {
        ERR_clear_error();
        errno = 0;
        int n = SSL_connect(ssl);
        if (n == 1) {
            return true;
        }
        int why = SSL_get_error(ssl, n);
        if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) {
            return false;
        }
        if (!dial_wait(fd, why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, until)) {
            return false;
        }
    }
}

struct tls *tls_open(const struct opts *o, int fd, const char *host, smqtt_ms until)
{
    struct tls *tls = calloc(1, sizeof(*tls));
    unsigned char address[16];
    if (tls == NULL || (tls->ssl = SSL_new(context)) == NULL || SSL_set_fd(tls->ssl, fd) != 1) {
        say("there is no memory for TLS.");
        tls_close(tls);
        return NULL;
    }
    bool is_name = inet_pton(AF_INET, host, address) != 1 && inet_pton(AF_INET6, host, address) != 1;
    if (is_name && host[0] != '/') {
        SSL_set_tlsext_host_name(tls->ssl, host); /* RFC 6066: names, not addresses */
    }
    if (!shake_hands(tls->ssl, fd, until)) {
        say_handshake(tls->ssl, host);
    } else if (check_host(o, tls->ssl, host)) {
        return tls;
    }
    tls_close(tls);
    return NULL;
}

void tls_close(struct tls *tls)
{
    if (tls == NULL) {
        return;
    }
    if (tls->ssl != NULL && SSL_is_init_finished(tls->ssl) == 1) {
        ERR_clear_error();
        SSL_shutdown(tls->ssl); /* close_notify; the broker's is not waited for */
    }
    SSL_free(tls->ssl);
    free(tls);
}

/** What a failed call means. */
static ssize_t judge(struct tls *tls, int n)
{
    int why = SSL_get_error(tls->ssl, n);
    tls->events = why == SSL_ERROR_WANT_READ ? POLLIN : why == SSL_ERROR_WANT_WRITE ? POLLOUT : 0;
    if (tls->events != 0) {
        return TLS_AGAIN;
    }
    if (why == SSL_ERROR_ZERO_RETURN || (why == SSL_ERROR_SYSCALL && ERR_peek_last_error() == 0)) {
        return 0;
    }
    say("the TLS connection failed: %s.", last_error());
    return TLS_FAILED;
}

ssize_t tls_read(struct tls *tls, void *out, size_t cap)
{
    ERR_clear_error();
    size_t n = 0;
    int ok = SSL_read_ex(tls->ssl, out, cap, &n);
    if (ok != 1) {
        return judge(tls, ok);
    }
    tls->events = 0;
    return (ssize_t)n;
}

ssize_t tls_write(struct tls *tls, const void *bytes, size_t len)
{
    ERR_clear_error();
    size_t n = 0;
    int ok = SSL_write_ex(tls->ssl, bytes, len, &n);
    if (ok != 1) {
        ssize_t why = judge(tls, ok);
        return why == 0 ? TLS_FAILED : why;
    }
    tls->events = 0;
    return (ssize_t)n;
}

short tls_events(const struct tls *tls)
{
    return tls->events;
}
