/* SPDX-License-Identifier: Apache-2.0 */
/* What every kind of store promises (store/store.h), run over all rows of the table of kinds. */
#include "place.h"

static const struct smq_store_kind *kind; /* under test */

struct home {
    char *path;
    struct smq_store *store;
};

static int setup(void **state)
{
    static struct home home;
    home.path = place_new();
    home.store = place_open(kind, home.path);
    *state = &home;
    return 0;
}

static int teardown(void **state)
{
    struct home *home = *state;
    kind->close(home->store);
    place_remove(home->path);
    return 0;
}

static smq_span bytes(const char *text, size_t len)
{
    return smq_span_of(text, len);
}

static void add(struct smq_writes *writes, enum smq_write_op op, smq_span key, smq_span value)
{
    assert_int_equal(smq_writes_add(writes, op, key, value), SMQTT_OK);
}

static void puts_gets_and_deletes(void **state)
{
    struct smq_store *store = ((struct home *)*state)->store;
    assert_null(store_get(store, "a"));
    assert_int_equal(store_put(store, "a", "1"), SMQTT_OK);
    assert_string_equal(store_get(store, "a"), "1");
    assert_null(store_get(store, "aa"));
    assert_int_equal(store_put(store, "a", "another"), SMQTT_OK);
    assert_string_equal(store_get(store, "a"), "another");
    struct smq_writes *writes = writes_begin();
    writes_op(writes, SMQ_WRITE_DEL, "a");
    writes_op(writes, SMQ_WRITE_DEL, "never there");
    assert_int_equal(writes_commit(store, writes, false), SMQTT_OK);
    assert_null(store_get(store, "a"));
    assert_int_equal(store_count(store, ""), 0);
}

static void an_empty_value_is_a_value(void **state)
{
    struct smq_store *store = ((struct home *)*state)->store;
    assert_int_equal(store_put(store, "k", ""), SMQTT_OK);
    assert_string_equal(store_get(store, "k"), "");
    assert_int_equal(store_count(store, "k"), 1);
}

static void later_operations_see_earlier_ones(void **state)
{
    struct smq_store *store = ((struct home *)*state)->store;
    assert_int_equal(store_put(store, "p/old", "x"), SMQTT_OK);
    struct smq_writes *writes = writes_begin();
    writes_put(writes, "p/1", "x");
    writes_put(writes, "q", "x");
    writes_op(writes, SMQ_WRITE_DEL_PREFIX, "p/");
    writes_put(writes, "p/2", "a");
    writes_put(writes, "p/2", "b");
    writes_op(writes, SMQ_WRITE_DEL, "q");
    writes_op(writes, SMQ_WRITE_GET, "q");
    assert_int_equal(writes_commit(store, writes, true), SMQTT_OK);
    assert_int_equal(store_count(store, ""), 1);
    assert_string_equal(store_get(store, "p/2"), "b");
}

static void several_writes_are_one_in_their_order(void **state)
{
    struct smq_store *store = ((struct home *)*state)->store;
    struct smq_store_why why;
    struct smq_writes *both[2] = {writes_begin(), writes_begin()};
    writes_put(both[0], "k", "first");
    writes_put(both[1], "k", "second");
    assert_int_equal(kind->write(store, both, 2, true, &why), SMQTT_OK);
    assert_string_equal(store_get(store, "k"), "second");
    assert_int_equal(kind->write(store, both, 0, true, &why), SMQTT_OK);
    smq_writes_free(both[0]);
    smq_writes_free(both[1]);
}

struct listing {
    char text[512];
    size_t limit;
};

static smqtt_err list(void *ctx, smq_span key, smq_span value)
{
    struct listing *listing = ctx;
    size_t used = strlen(listing->text);
    (void)snprintf(listing->text + used, sizeof listing->text - used, "%.*s=%.*s ", (int)key.len,
                   (const char *)key.data, (int)value.len, (const char *)value.data);
    return --listing->limit == 0 ? SMQTT_E_CLOSED : SMQTT_OK;
}

static void each_goes_in_order_and_ends_when_told(void **state)
{
    struct smq_store *store = ((struct home *)*state)->store;
    struct smq_store_why why = {""};
    static const char *const keys[] = {"b/2", "a", "b", "b/10", "c", "b/", "b0"};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(keys); i++) {
        assert_int_equal(store_put(store, keys[i], "v"), SMQTT_OK);
    }
    struct listing all = {"", 0};
    assert_int_equal(kind->each(store, smq_span_str(""), list, &all, &why), SMQTT_OK);
    assert_string_equal(all.text, "a=v b=v b/=v b/10=v b/2=v b0=v c=v ");
    struct listing some = {"", 0};
    assert_int_equal(kind->each(store, smq_span_str("b/"), list, &some, &why), SMQTT_OK);
    assert_string_equal(some.text, "b/=v b/10=v b/2=v ");
    struct listing two = {"", 2};
    assert_int_equal(kind->each(store, smq_span_str("b"), list, &two, &why), SMQTT_E_CLOSED);
    assert_string_equal(two.text, "b=v b/=v ");
    struct listing none = {"", 0};
    assert_int_equal(kind->each(store, smq_span_str("d"), list, &none, &why), SMQTT_OK);
    assert_string_equal(none.text, "");
    assert_string_equal(why.text, "");
}

/* Keys are bytes: 0 is one of them, and 0xFF has no byte above it. */
static void keys_of_any_bytes(void **state)
{
    struct smq_store *store = ((struct home *)*state)->store;
    const smq_span keys[] = {bytes("\0", 1),         bytes("\0\0", 2),         bytes("\0\xFF", 2),
                             bytes("a\0", 2),        bytes("a\xFF\xFF", 3),    bytes("a\xFF\xFFz", 4),
                             bytes("b", 1),          bytes("\xFF", 1),         bytes("\xFF\xFF", 2),
                             bytes("\xFF\xFF\0", 3), bytes("\xFF\xFF\xFF", 3), bytes("\xFF\xFF\xFF\xFF", 4)};
    struct smq_writes *writes = writes_begin();
    for (size_t i = 0; i < SMQ_ARRAY_LEN(keys); i++) {
        add(writes, SMQ_WRITE_PUT, keys[i], keys[i]);
    }
    assert_int_equal(writes_commit(store, writes, true), SMQTT_OK);
    for (size_t i = 0; i < SMQ_ARRAY_LEN(keys); i++) {
        struct smq_store_why why;
        struct store_text text = {false, 0, ""};
        assert_int_equal(kind->get(store, keys[i], store_keep_text, &text, &why), SMQTT_OK);
        assert_true(text.found);
        assert_true(smq_span_equal(smq_span_of(text.text, text.len), keys[i]));
    }
    static const struct {
        smq_span prefix;
        size_t n, left;
    } rows[] = {{{(const uint8_t *)"\0", 1}, 3, 9},
                {{(const uint8_t *)"a\xFF\xFF", 3}, 2, 7},
                {{(const uint8_t *)"\xFF\xFF\xFF", 3}, 2, 5},
                {{(const uint8_t *)"\xFF", 1}, 3, 2}};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(rows); i++) {
        struct smq_store_why why;
        size_t n = 0;
        assert_int_equal(kind->each(store, rows[i].prefix, store_count_one, &n, &why), SMQTT_OK);
        assert_int_equal(n, rows[i].n);
        writes = writes_begin();
        add(writes, SMQ_WRITE_DEL_PREFIX, rows[i].prefix, smq_span_of(NULL, 0));
        assert_int_equal(writes_commit(store, writes, true), SMQTT_OK);
        assert_int_equal(store_count(store, ""), rows[i].left);
    }
}

static void the_longest_keys(void **state)
{
    struct smq_store *store = ((struct home *)*state)->store;
    enum { LONGEST = 65535 };
    uint8_t *key = malloc(LONGEST);
    assert_non_null(key);
    memset(key, 0xFF, LONGEST);
    struct smq_writes *writes = writes_begin();
    add(writes, SMQ_WRITE_PUT, smq_span_of(key, LONGEST), smq_span_str("long"));
    add(writes, SMQ_WRITE_PUT, smq_span_of(key, LONGEST - 1), smq_span_str("shorter"));
    assert_int_equal(writes_commit(store, writes, true), SMQTT_OK);
    assert_int_equal(store_count(store, "\xFF\xFF"), 2);
    writes = writes_begin();
    add(writes, SMQ_WRITE_DEL_PREFIX, smq_span_of(key, LONGEST), smq_span_of(NULL, 0));
    assert_int_equal(writes_commit(store, writes, true), SMQTT_OK);
    assert_int_equal(store_count(store, ""), 1);
    writes = writes_begin();
    add(writes, SMQ_WRITE_DEL_PREFIX, smq_span_of(key, 3), smq_span_of(NULL, 0));
    assert_int_equal(writes_commit(store, writes, true), SMQTT_OK);
    assert_int_equal(store_count(store, ""), 0);
    free(key);
}

struct big {
    const uint8_t *bytes;
    size_t len, n;
};

static void same_as_big(void *ctx, smq_span value)
{
    struct big *big = ctx;
    assert_true(smq_span_equal(value, smq_span_of(big->bytes, big->len)));
    big->n++;
}

static void big_values(void **state)
{
    struct smq_store *store = ((struct home *)*state)->store;
    struct smq_store_why why;
    struct big big = {NULL, 10 * 1024 * 1024, 0};
    uint64_t seed = 1;
    uint8_t *value = malloc(big.len);
    assert_non_null(value);
    for (size_t i = 0; i < big.len; i++) {
        value[i] = (uint8_t)test_random(&seed);
    }
    big.bytes = value;
    static const char *const keys[] = {"big 1", "big 2", "big 3", "big 4"};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(keys); i++) {
        struct smq_writes *writes = writes_begin();
        add(writes, SMQ_WRITE_PUT, smq_span_str(keys[i]), smq_span_of(value, big.len));
        assert_int_equal(writes_commit(store, writes, true), SMQTT_OK);
    }
    for (size_t i = 0; i < SMQ_ARRAY_LEN(keys); i++) {
        assert_int_equal(kind->get(store, smq_span_str(keys[i]), same_as_big, &big, &why), SMQTT_OK);
    }
    assert_int_equal(big.n, SMQ_ARRAY_LEN(keys));
    assert_true(kind->size(store) >= big.len);
    free(value);
}

static void many_small_ones(void **state)
{
    struct smq_store *store = ((struct home *)*state)->store;
    enum { EACH = 1000, TIMES = 100 };
    char key[32];
    for (size_t t = 0; t < TIMES; t++) {
        struct smq_writes *writes = writes_begin();
        for (size_t i = 0; i < EACH; i++) {
            (void)snprintf(key, sizeof key, "%zu/%08zu", i % 2, t * EACH + i);
            writes_put(writes, key, key);
        }
        assert_int_equal(writes_commit(store, writes, false), SMQTT_OK);
    }
    struct smq_store_why why;
    assert_int_equal(kind->sync(store, &why), SMQTT_OK);
    assert_int_equal(store_count(store, ""), EACH * TIMES);
    assert_int_equal(store_count(store, "1/"), EACH * TIMES / 2);
    assert_string_equal(store_get(store, "1/00000777"), "1/00000777");
    struct smq_writes *writes = writes_begin();
    writes_op(writes, SMQ_WRITE_DEL_PREFIX, "1/");
    assert_int_equal(writes_commit(store, writes, true), SMQTT_OK);
    assert_int_equal(store_count(store, ""), EACH * TIMES / 2);
    assert_null(store_get(store, "1/00000777"));
}

/* Random operations against an array of what must be there. */
enum { MODEL = 3 * 3 * 3 + 3 * 3 + 3, MODEL_VALUE = 24 };
struct model {
    struct {
        uint8_t key[3];
        size_t key_len, value_len;
        bool there;
        uint8_t value[MODEL_VALUE];
    } rows[MODEL]; /* in the order of their keys */
    size_t at, n;
    smq_span prefix;
};

static const uint8_t model_alphabet[3] = {0x00, 0x61, 0xFF};

static size_t model_fill(struct model *model, size_t at, const uint8_t *prefix, size_t len)
{
    for (size_t i = 0; i < sizeof model_alphabet && len < 3; i++) {
        memcpy(model->rows[at].key, prefix, len);
        model->rows[at].key[len] = model_alphabet[i];
        model->rows[at].key_len = len + 1;
        model->rows[at].there = false;
        size_t mine = at++;
        at = model_fill(model, at, model->rows[mine].key, len + 1);
    }
    return at;
}

static smq_span model_key(const struct model *model, size_t i)
{
    return smq_span_of(model->rows[i].key, model->rows[i].key_len);
}

static void model_step(struct model *model, struct smq_writes *writes, uint64_t *seed)
{
    size_t i = test_random_below(seed, MODEL), what = test_random_below(seed, 10);
    if (what < 7) {
        model->rows[i].there = true;
        model->rows[i].value_len = test_random_below(seed, MODEL_VALUE + 1);
        memset(model->rows[i].value, (int)test_random_below(seed, 256), MODEL_VALUE);
        add(writes, SMQ_WRITE_PUT, model_key(model, i), smq_span_of(model->rows[i].value, model->rows[i].value_len));
    } else if (what < 9) {
        model->rows[i].there = false;
        add(writes, SMQ_WRITE_DEL, model_key(model, i), smq_span_of(NULL, 0));
    } else {
        for (size_t j = 0; j < MODEL; j++) {
            model->rows[j].there = model->rows[j].there && !smq_span_starts(model_key(model, j), model_key(model, i));
        }
        add(writes, SMQ_WRITE_DEL_PREFIX, model_key(model, i), smq_span_of(NULL, 0));
    }
}

static smqtt_err model_same(void *ctx, smq_span key, smq_span value)
{
    struct model *model = ctx;
    while (!model->rows[model->at].there || !smq_span_starts(model_key(model, model->at), model->prefix)) {
        model->at++;
        assert_true(model->at < MODEL);
    }
    assert_true(smq_span_equal(key, model_key(model, model->at)));
    assert_true(smq_span_equal(value, smq_span_of(model->rows[model->at].value, model->rows[model->at].value_len)));
    model->at++;
    model->n++;
    return SMQTT_OK;
}

static void model_check(struct model *model, struct smq_store *store, smq_span prefix)
{
    struct smq_store_why why;
    size_t wanted = 0;
    for (size_t i = 0; i < MODEL; i++) {
        wanted += model->rows[i].there && smq_span_starts(model_key(model, i), prefix);
    }
    model->at = 0;
    model->n = 0;
    model->prefix = prefix;
    assert_int_equal(kind->each(store, prefix, model_same, model, &why), SMQTT_OK);
    assert_int_equal(model->n, wanted);
}

static void random_operations_as_the_model_says(void **state)
{
    struct home *home = *state;
    static struct model model;
    uint64_t seed = 20;
    assert_int_equal(model_fill(&model, 0, model_alphabet, 0), MODEL);
    for (size_t round = 0; round < 400; round++) {
        struct smq_store_why why;
        struct smq_writes *writes[3] = {writes_begin(), writes_begin(), writes_begin()};
        for (size_t i = 0; i < 3; i++) {
            for (size_t n = test_random_below(&seed, 12); n > 0; n--) {
                model_step(&model, writes[i], &seed);
            }
        }
        assert_int_equal(kind->write(home->store, writes, 3, round % 8 == 0, &why), SMQTT_OK);
        for (size_t i = 0; i < 3; i++) {
            smq_writes_free(writes[i]);
        }
        model_check(&model, home->store, smq_span_of(NULL, 0));
        model_check(&model, home->store, model_key(&model, test_random_below(&seed, MODEL)));
        if (kind->on_disk && round % 50 == 49) {
            kind->close(home->store);
            home->store = place_open(kind, home->path);
        } else if (round % 20 == 19) {
            assert_int_equal(kind->reopen(home->store, &why), SMQTT_OK);
        }
    }
}

static void reopened_it_has_what_it_had(void **state)
{
    struct home *home = *state;
    struct smq_store_why why;
    assert_int_equal(store_put(home->store, "k", "v"), SMQTT_OK);
    struct smq_writes *writes = writes_begin();
    writes_put(writes, "not synced", "v");
    assert_int_equal(writes_commit(home->store, writes, false), SMQTT_OK);
    assert_int_equal(kind->reopen(home->store, &why), SMQTT_OK);
    assert_string_equal(store_get(home->store, "k"), "v");
    assert_string_equal(store_get(home->store, "not synced"), "v");
    if (kind->on_disk) {
        kind->close(home->store);
        home->store = place_open(kind, home->path);
        assert_string_equal(store_get(home->store, "k"), "v");
        assert_string_equal(store_get(home->store, "not synced"), "v");
    }
}

static void what_is_read_only_takes_nothing(void **state)
{
    struct home *home = *state;
    struct smq_store_why why;
    assert_int_equal(store_put(home->store, "k", "v"), SMQTT_OK);
    kind->close(home->store);
    assert_int_equal(kind->open(home->path, SMQ_STORE_READ_ONLY, NULL, &home->store, &why), SMQTT_OK);
    assert_int_equal(store_put(home->store, "k", "w"), SMQTT_E_IO);
    if (kind->on_disk) {
        assert_string_equal(store_get(home->store, "k"), "v");
    }
}

static void kinds_have_names(void **state)
{
    (void)state;
    assert_ptr_equal(smq_store_kind_named(kind->name), kind);
    assert_null(smq_store_kind_named("none of these"));
}

int main(void)
{
    const struct CMUnitTest contract[] = {
        cmocka_unit_test(kinds_have_names),
        cmocka_unit_test_setup_teardown(puts_gets_and_deletes, setup, teardown),
        cmocka_unit_test_setup_teardown(an_empty_value_is_a_value, setup, teardown),
        cmocka_unit_test_setup_teardown(later_operations_see_earlier_ones, setup, teardown),
        cmocka_unit_test_setup_teardown(several_writes_are_one_in_their_order, setup, teardown),
        cmocka_unit_test_setup_teardown(each_goes_in_order_and_ends_when_told, setup, teardown),
        cmocka_unit_test_setup_teardown(keys_of_any_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(the_longest_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(big_values, setup, teardown),
        cmocka_unit_test_setup_teardown(many_small_ones, setup, teardown),
        cmocka_unit_test_setup_teardown(random_operations_as_the_model_says, setup, teardown),
        cmocka_unit_test_setup_teardown(reopened_it_has_what_it_had, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_read_only_takes_nothing, setup, teardown),
    };
    int failed = 0;
    for (const struct smq_store_kind *const *each = smq_store_kinds(); *each != NULL; each++) {
        kind = *each;
        print_message("%s:\n", kind->name);
        failed += cmocka_run_group_tests(contract, NULL, NULL);
    }
    return failed;
}
