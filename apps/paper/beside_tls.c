/* SPDX-License-Identifier: Apache-2.0 */
/* The paper's loop on TLS 1.3: two ends in memory with an X25519 key exchange, an Ed25519 certificate of the server's,
 * and ChaCha20-Poly1305, which is what suite x25519 of S-MQTT uses. */
#include "beside.h"

#include <stdio.h>
#include <string.h>

#include <openssl/ssl.h>
#include <openssl/x509.h>

enum { TLS_EVERY = 10 };

struct ends {
    SSL_CTX *server_ctx, *client_ctx;
    SSL *server, *client;
    BIO *to_server, *to_client;
};

static void must(bool good, const char *what)
{
    beside_must(good ? SMQTT_OK : SMQTT_E_CRYPTO, what);
}

static void certify(SSL_CTX *ctx)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    X509 *cert = X509_new();
    must(key != NULL && cert != NULL, "a certificate");
    X509_NAME *name = X509_get_subject_name(cert);
    must(X509_set_version(cert, 2) == 1 && ASN1_INTEGER_set(X509_get_serialNumber(cert), 1) == 1 &&
             X509_gmtime_adj(X509_getm_notBefore(cert), 0) != NULL &&
             X509_gmtime_adj(X509_getm_notAfter(cert), 86400) != NULL &&
             X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"server", -1, -1, 0) == 1 &&
             X509_set_issuer_name(cert, name) == 1 && X509_set_pubkey(cert, key) == 1 &&
             X509_sign(cert, key, NULL) > 0 && SSL_CTX_use_certificate(ctx, cert) == 1 &&
             SSL_CTX_use_PrivateKey(ctx, key) == 1,
         "a certificate");
    X509_free(cert);
    EVP_PKEY_free(key);
}

static void prepare_contexts(struct ends *e)
{
    e->server_ctx = SSL_CTX_new(TLS_server_method());
    e->client_ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX *const both[] = {e->server_ctx, e->client_ctx};
    for (size_t i = 0; i < 2; i++) {
        must(both[i] != NULL && SSL_CTX_set_min_proto_version(both[i], TLS1_3_VERSION) == 1 &&
                 SSL_CTX_set_ciphersuites(both[i], "TLS_CHACHA20_POLY1305_SHA256") == 1 &&
                 SSL_CTX_set1_groups_list(both[i], "X25519") == 1,
             "the settings of TLS");
    }
    certify(e->server_ctx);
    /* A pinned certificate, as S-MQTT pins a server: this one, and no other. */
    must(X509_STORE_add_cert(SSL_CTX_get_cert_store(e->client_ctx), SSL_CTX_get0_certificate(e->server_ctx)) == 1,
         "pinning the certificate");
    SSL_CTX_set_verify(e->client_ctx, SSL_VERIFY_PEER, NULL);
}

static void handshake(struct ends *e)
{
    SSL_free(e->server);
    SSL_free(e->client);
    e->server = SSL_new(e->server_ctx);
    e->client = SSL_new(e->client_ctx);
    e->to_server = BIO_new(BIO_s_mem());
    e->to_client = BIO_new(BIO_s_mem());
    must(e->server != NULL && e->client != NULL && e->to_server != NULL && e->to_client != NULL, "two ends of TLS");
    SSL_set0_rbio(e->server, e->to_server);
    SSL_set0_wbio(e->server, e->to_client);
    must(BIO_up_ref(e->to_server) == 1 && BIO_up_ref(e->to_client) == 1, "two ends of TLS");
    SSL_set0_rbio(e->client, e->to_client);
    SSL_set0_wbio(e->client, e->to_server);
    SSL_set_connect_state(e->client);
    SSL_set_accept_state(e->server);
    for (unsigned i = 0; i < 4; i++) {
        (void)SSL_do_handshake(e->client);
        (void)SSL_do_handshake(e->server);
    }
    must(SSL_is_init_finished(e->client) == 1 && SSL_is_init_finished(e->server) == 1, "the handshake of TLS");
}

static void measure_size(struct ends *e, size_t len, size_t reps)
{
    static double prepare[BESIDE_REPS_MAX], enc[BESIDE_REPS_MAX], dec[BESIDE_REPS_MAX];
    char text[256];
    char back[256];
    size_t wire = 0;
    size_t sessions = 0;
    for (size_t i = 0; i < len; i++) {
        text[i] = (char)('a' + i % 26);
    }
    for (size_t r = 0; r < reps; r++) {
        size_t n = 0;
        double t0 = beside_cpu_s();
        if (r % TLS_EVERY == 0) {
            handshake(e);
            prepare[sessions++] = beside_cpu_s() - t0;
        }
        double t1 = beside_cpu_s();
        must(SSL_write_ex(e->client, text, len, &n) == 1, "writing with TLS");
        double t2 = beside_cpu_s();
        wire = BIO_ctrl_pending(e->to_server);
        double t3 = beside_cpu_s();
        must(SSL_read_ex(e->server, back, sizeof(back), &n) == 1 && n == len && memcmp(text, back, len) == 0,
             "reading with TLS");
        dec[r] = beside_cpu_s() - t3;
        enc[r] = t2 - t1;
    }
    printf("%zu,%.9f,%.9f,%.9f,%zu\n", len, beside_median(prepare, sessions), beside_median(enc, reps),
           beside_median(dec, reps), wire);
}

void beside_measure_tls(unsigned long step, unsigned long reps)
{
    struct ends e = {0};
    prepare_contexts(&e);
    printf("bytes,prepare_s,encrypt_s,decrypt_s,wire\n");
    for (size_t len = 2; len <= 200; len += step) {
        measure_size(&e, len, reps);
    }
    SSL_free(e.server);
    SSL_free(e.client);
    SSL_CTX_free(e.server_ctx);
    SSL_CTX_free(e.client_ctx);
}
