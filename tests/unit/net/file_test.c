/* SPDX-License-Identifier: Apache-2.0 */
#include "temp_dir.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "net/file.h"

static struct temp_dir dir;

static void put(const char *name, const char *text, mode_t mode)
{
    int fd = open(temp_dir_file(&dir, name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void reads_a_whole_file(void **state)
{
    (void)state;
    struct smq_file_text file = {NULL, 0};
    char large[20000];
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = 0;
    put("a", large, 0644);
    assert_int_equal(smq_file_read(temp_dir_file(&dir, "a"), sizeof large, false, &file, NULL), SMQTT_OK);
    assert_int_equal(file.len, sizeof large - 1);
    assert_string_equal(file.text, large);
    smq_file_free(&file);
    assert_null(file.text);
}

static void refuses_more_than_the_bound(void **state)
{
    (void)state;
    struct smq_file_text file = {NULL, 0};
    struct smq_why why = {""};
    put("a", "12345", 0600);
    assert_int_equal(smq_file_read(temp_dir_file(&dir, "a"), 4, false, &file, &why), SMQTT_E_FULL);
    assert_non_null(strstr(why.text, "4 bytes"));
    assert_int_equal(smq_file_read(temp_dir_file(&dir, "a"), 5, false, &file, &why), SMQTT_OK);
    smq_file_free(&file);
}

static void refuses_secrets_that_others_may_use(void **state)
{
    (void)state;
    static const mode_t bad[] = {0640, 0620, 0604, 0602, 0644, 0610};
    struct smq_file_text file = {NULL, 0};
    struct smq_why why = {""};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        put("a", "secret", bad[i]);
        assert_int_equal(smq_file_read(temp_dir_file(&dir, "a"), 100, true, &file, &why), SMQTT_E_USAGE);
        assert_non_null(strstr(why.text, "chmod 600"));
    }
    put("a", "secret", 0400);
    assert_int_equal(smq_file_read(temp_dir_file(&dir, "a"), 100, true, &file, &why), SMQTT_OK);
    smq_file_free(&file);
    assert_int_equal(smq_file_read(dir.path, 100, true, &file, &why), SMQTT_E_USAGE);
    assert_int_equal(smq_file_read(temp_dir_file(&dir, "none"), 100, true, &file, &why), SMQTT_E_IO);
    assert_int_equal(mkfifo(temp_dir_file(&dir, "fifo"), 0600), 0);
    assert_int_equal(smq_file_read(temp_dir_file(&dir, "fifo"), 100, true, &file, &why), SMQTT_E_USAGE);
}

static void writes_whole_files_of_the_right_mode(void **state)
{
    (void)state;
    struct stat st;
    struct smq_file_text file = {NULL, 0};
    const char *path = temp_dir_file(&dir, "w");
    assert_int_equal(smq_file_write(path, smq_span_str("one"), true, false, NULL), SMQTT_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(smq_file_write(path, smq_span_str("two"), true, false, NULL), SMQTT_E_USAGE);
    assert_int_equal(smq_file_read(path, 10, true, &file, NULL), SMQTT_OK);
    assert_string_equal(file.text, "one");
    smq_file_free(&file);
    assert_int_equal(smq_file_write(path, smq_span_str("two"), true, true, NULL), SMQTT_OK);
    assert_int_equal(smq_file_read(path, 10, true, &file, NULL), SMQTT_OK);
    assert_string_equal(file.text, "two");
    smq_file_free(&file);
    assert_int_equal(smq_file_write(temp_dir_file(&dir, "no/such"), smq_span_str("x"), true, true, NULL), SMQTT_E_IO);
}

static void directories_are_made_and_checked(void **state)
{
    (void)state;
    int fd = -1;
    struct stat st;
    struct smq_why why = {""};
    char path[512];
    snprintf(path, sizeof path, "%s", temp_dir_file(&dir, "state"));
    assert_int_equal(smq_file_open_dir(path, &fd, &why), SMQTT_OK);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    close(fd);
    assert_int_equal(chmod(path, 0750), 0);
    assert_int_equal(smq_file_open_dir(path, &fd, &why), SMQTT_E_USAGE);
    assert_non_null(strstr(why.text, "chmod 700"));
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(smq_file_open_dir(temp_dir_file(&dir, "a/b/c"), &fd, &why), SMQTT_E_IO);
}

static int make(void **state)
{
    (void)state;
    temp_dir_make(&dir);
    return 0;
}

static int clean(void **state)
{
    (void)state;
    temp_dir_remove(&dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_a_whole_file, make, clean),
        cmocka_unit_test_setup_teardown(refuses_more_than_the_bound, make, clean),
        cmocka_unit_test_setup_teardown(refuses_secrets_that_others_may_use, make, clean),
        cmocka_unit_test_setup_teardown(writes_whole_files_of_the_right_mode, make, clean),
        cmocka_unit_test_setup_teardown(directories_are_made_and_checked, make, clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
