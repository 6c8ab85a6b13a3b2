/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include "base/list.h"

#define NODES 20

struct item {
    int tag;
    struct smq_list link;
};

static struct item items[NODES];
static struct smq_list heads[2];
static int model[2][NODES]; /* indices in order */
static size_t model_n[2];

static void check(void)
{
    for (int h = 0; h < 2; h++) {
        size_t n = 0;
        for (struct smq_list *at = heads[h].next; at != &heads[h]; at = at->next) {
            assert_true(n < model_n[h]);
            assert_int_equal(SMQ_CONTAINER_OF(at, struct item, link)->tag, model[h][n]);
            assert_ptr_equal(at->next->prev, at);
            n++;
        }
        assert_int_equal(n, model_n[h]);
        assert_int_equal(smq_list_is_empty(&heads[h]), n == 0);
        assert_ptr_equal(smq_list_first(&heads[h]), n != 0 ? &items[model[h][0]].link : NULL);
        assert_ptr_equal(smq_list_last(&heads[h]), n != 0 ? &items[model[h][n - 1]].link : NULL);
    }
}

static void model_insert(int h, size_t at, int tag)
{
    memmove(&model[h][at + 1], &model[h][at], (model_n[h] - at) * sizeof model[h][0]);
    model[h][at] = tag;
    model_n[h]++;
}

static void model_remove(int tag)
{
    for (int h = 0; h < 2; h++) {
        for (size_t i = 0; i < model_n[h]; i++) {
            if (model[h][i] == tag) {
                model_n[h]--;
                memmove(&model[h][i], &model[h][i + 1], (model_n[h] - i) * sizeof model[h][0]);
                return;
            }
        }
    }
}

static void insert_somewhere(uint64_t *seed, int h, int tag)
{
    struct smq_list *link = &items[tag].link;
    size_t at = test_random_below(seed, model_n[h] + 1);
    switch (test_random_below(seed, 3)) {
    case 0:
        smq_list_push_front(&heads[h], link);
        model_insert(h, 0, tag);
        break;
    case 1:
        smq_list_push_back(&heads[h], link);
        model_insert(h, model_n[h], tag);
        break;
    default:
        smq_list_insert_after(at == 0 ? &heads[h] : &items[model[h][at - 1]].link, link);
        model_insert(h, at, tag);
        break;
    }
}

static void random_against_model(void **state)
{
    (void)state;
    uint64_t seed = 9;
    for (int i = 0; i < NODES; i++) {
        items[i].tag = i;
        smq_list_init(&items[i].link);
    }
    smq_list_init(&heads[0]);
    smq_list_init(&heads[1]);
    check();
    for (int step = 0; step < 30000; step++) {
        int tag = (int)test_random_below(&seed, NODES);
        int h = (int)test_random_below(&seed, 2);
        size_t what = test_random_below(&seed, 40);
        if (what == 0) {
            smq_list_splice_back(&heads[h], &heads[1 - h]);
            while (model_n[1 - h] > 0) {
                int first = model[1 - h][0];
                model_remove(first);
                model_insert(h, model_n[h], first);
            }
        } else if (what < 4) {
            struct smq_list *got = smq_list_pop_front(&heads[h]);
            assert_ptr_equal(got, model_n[h] != 0 ? &items[model[h][0]].link : NULL);
            if (got != NULL) {
                assert_false(smq_list_is_linked(got));
                model_remove(model[h][0]);
            }
        } else if (smq_list_is_linked(&items[tag].link)) {
            smq_list_remove(&items[tag].link);
            smq_list_remove(&items[tag].link); /* twice does no harm */
            model_remove(tag);
        } else {
            insert_somewhere(&seed, h, tag);
        }
        check();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_against_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
