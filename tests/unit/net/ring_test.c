/* SPDX-License-Identifier: Apache-2.0 */
/* The ring with a thread at each end, and two loops' sleeping and waking without loops. */
#include "../test.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/poll.h>

#include "net/post.h"
#include "net/ring.h"
#include "net/wake.h"

#define MAILS 200000

static void a_ring_is_full_and_empty(void **state)
{
    (void)state;
    struct smq_ring ring;
    assert_int_equal(smq_ring_init(&ring, NULL, 4), SMQTT_OK);
    struct smq_mail mail = {NULL, 0, 0};
    for (unsigned round = 0; round < 3; round++) {
        assert_false(smq_ring_has_mail(&ring));
        for (unsigned i = 0; i < 4; i++) {
            mail.kind = i;
            assert_true(smq_ring_give(&ring, &mail));
        }
        assert_false(smq_ring_give(&ring, &mail));
        for (unsigned i = 0; i < 4; i++) {
            assert_true(smq_ring_take(&ring, &mail));
            assert_int_equal(mail.kind, i);
        }
        assert_false(smq_ring_take(&ring, &mail));
    }
    smq_ring_deinit(&ring);
}

struct letter {
    struct smq_letter letter;
    unsigned number;
};

static struct smq_post *post;

static void wait_for_mail(unsigned me)
{
    if (smq_post_sleep(post, me)) {
        struct pollfd fd = {.fd = smq_post_wake_fd(post, me), .events = POLLIN};
        /* A wake that is lost shows here. */
        assert_int_equal(poll(&fd, 1, 10000), 1);
        smq_post_rise(post, me);
    }
    (void)smq_wake_take(smq_post_wake_fd(post, me));
}

static void *send_letters(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < MAILS; i++) {
        struct letter *l = malloc(sizeof *l);
        bool changed = false;
        *l = (struct letter){.letter.kind = SMQ_MAIL_ORDER, .number = i};
        smq_post_send(post, 0, 1, &l->letter);
        if (i % 7 == 0 || i + 1 == MAILS) {
            smq_post_flush(post, 0);
        }
        while (smq_post_is_full(post, 0, 1, &changed)) {
            smq_post_flush(post, 0);
            wait_for_mail(0);
            (void)smq_post_has_place(post, 0, 1); /* what waited goes on */
        }
    }
    smq_post_flush(post, 0);
    return NULL;
}

/* Neither side is forgotten asleep, nothing is lost, and the order stays. */
static void two_threads(void **state)
{
    (void)state;
    pthread_t thread;
    assert_int_equal(smq_post_new(NULL, 2, &post), SMQTT_OK);
    assert_int_equal(pthread_create(&thread, NULL, send_letters, NULL), 0);
    for (unsigned next = 0; next < MAILS;) {
        struct smq_mail mail;
        wait_for_mail(1);
        while (smq_post_take(post, 1, 0, &mail)) {
            struct letter *l = mail.what;
            assert_int_equal(l->number, next++);
            free(l);
        }
        smq_post_thank(post, 1);
    }
    pthread_join(thread, NULL);
    smq_post_free(post, NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ring_is_full_and_empty),
        cmocka_unit_test(two_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
