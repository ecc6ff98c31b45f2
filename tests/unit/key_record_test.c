/* SPDX-License-Identifier: Apache-2.0 */
#include "key_record.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char directory[] = "/tmp/hsmint-record-XXXXXX";
static char path[64];
static struct key_records records, again;
static struct config config;
static struct hm_problem why;

static void make_directory(void)
{
	cr_assert_not_null(mkdtemp(directory));
	snprintf(path, sizeof path, "%s/keys", directory);
}

static void remove_directory(void)
{
	(void)unlink(path);
	cr_expect_eq(rmdir(directory), 0);
}

TestSuite(key_record, .init = make_directory, .fini = remove_directory);

static struct key_version *add(struct key_record *record, enum key_state state)
{
	struct key_version *version = key_record_add(record);
	cr_assert_not_null(version);
	version->state = state;
	snprintf(version->label, sizeof version->label, "label-%u", version->number);
	return version;
}

static struct key_record *add_key(const char *name)
{
	struct key_record *record = key_records_add(&records, &config, name);
	cr_assert_not_null(record);
	add(record, KEY_ACTIVE);
	return record;
}

static void write_records(void)
{
	cr_assert_eq(key_records_write(directory, &records, &why), HM_OK, "%s", why.detail);
}

/* ---- reading and writing ---- */

Test(key_record, what_is_not_there_is_empty)
{
	again.count = 7;
	cr_assert_eq(key_records_read(directory, &again, &why), HM_OK, "%s", why.detail);
	cr_expect_eq(again.count, 0);
}

Test(key_record, it_comes_back_as_it_was)
{
	struct key_record *record = add_key("access");
	snprintf(record->of, sizeof record->of, "issuer=a \"label\"=\\ \xc3\xa4");
	struct key_version *full = add(record, KEY_RETIRING);
	memset(full->label, 'l', HM_LABEL_MAX);
	memset(full->id, 'f', 2 * HM_KEY_ID_MAX);
	memset(full->kid, 'k', HM_KID_MAX);
	full->created = 1;
	full->published = 2;
	full->activates = 3;
	full->active = 4;
	full->retiring = 5;
	full->until = HM_INTEGER_MAX;
	full->lifetime = HM_LIFETIME_MAX;
	struct key_version *by_id = add(record, KEY_CREATED);
	memset(by_id->label, 0, sizeof by_id->label);
	snprintf(by_id->id, sizeof by_id->id, "01fF");
	add(record, KEY_PUBLISHED);
	add(record, KEY_RETIRED);
	record->last = UINT32_MAX;
	add_key("other");
	write_records();
	memset(&again, 0xff, sizeof again);
	cr_assert_eq(key_records_read(directory, &again, &why), HM_OK, "%s", why.detail);
	cr_assert_eq(again.count, 2);
	for (unsigned i = 0; i < 2; i++)
		cr_expect_eq(memcmp(&again.records[i], &records.records[i], sizeof records.records[i]), 0, "%u", i);
}

Test(key_record, the_largest_fits)
{
	for (unsigned i = 0; i < HM_KEYS_MAX; i++) {
		char name[HM_NAME_MAX + 1];
		snprintf(name, sizeof name, "%064u", i);
		struct key_record *record = add_key(name);
		memset(record->of, '"', sizeof record->of - 1);
		while (record->count < HM_KEY_VERSIONS_MAX)
			add(record, KEY_CREATED);
		for (unsigned k = 0; k < record->count; k++) {
			struct key_version *version = &record->versions[k];
			memset(version->label, '"', HM_LABEL_MAX);
			memset(version->id, 'f', 2 * HM_KEY_ID_MAX);
			memset(version->kid, 'k', HM_KID_MAX);
			version->created = version->published = version->activates = version->active =
				version->retiring = version->until = HM_INTEGER_MAX;
		}
	}
	write_records();
	cr_assert_eq(key_records_read(directory, &again, &why), HM_OK, "%s", why.detail);
	cr_expect_eq(memcmp(&again, &records, sizeof records), 0);
}

/* What could not be read again is not written: the record before stays. */
Test(key_record, what_is_not_sound_is_not_written)
{
	struct key_record *record = add_key("access");
	write_records();
	add(record, KEY_ACTIVE);
	cr_expect_neq(key_records_write(directory, &records, &why), HM_OK);
	record->versions[0].state = record->versions[1].state = KEY_RETIRED;
	cr_expect_neq(key_records_write(directory, &records, &why), HM_OK);
	record->versions[0].state = KEY_ACTIVE;
	record->versions[1].until = -1;
	cr_expect_neq(key_records_write(directory, &records, &why), HM_OK);
	snprintf(record->versions[1].label, sizeof record->versions[1].label, "\xff");
	cr_expect_neq(key_records_write(directory, &records, &why), HM_OK);
	cr_assert_eq(key_records_read(directory, &again, &why), HM_OK, "%s", why.detail);
	cr_expect_eq(again.records[0].count, 1);
}

#define VERSION(number, state, label, id)                                                                         \
	"{\"version\":" number ",\"state\":\"" state "\",\"label\":\"" label "\",\"id\":\"" id "\",\"kid\":\"\"," \
	"\"created\":1,\"published\":1,\"activates\":0,\"active\":1,\"retiring\":0,\"until\":0,\"lifetime\":900}"
#define KEY(last, versions) "{\"name\":\"a\",\"of\":\"x\",\"last\":" last ",\"versions\":[" versions "]}"
#define RECORD(keys)        "{\"format\":1,\"keys\":[" keys "]}"
#define FIRST               VERSION("1", "active", "l", "01")

static hm_result read_text(const char *text)
{
	FILE *file = fopen(path, "w");
	cr_assert_not_null(file);
	fputs(text, file);
	fclose(file);
	return key_records_read(directory, &again, &why);
}

Test(key_record, what_is_damaged_is_refused)
{
	static const char *const damaged[] = {"", "{", "[]", "{\"format\":1}", "{\"format\":2,\"keys\":[]}",
		"{\"format\":1,\"format\":1,\"keys\":[]}", "{\"format\":1,\"keys\":{}}", RECORD("1"), RECORD("{}"),
		RECORD(KEY("1", "")), RECORD(KEY("1", "1")), RECORD(KEY("0", FIRST)), RECORD(KEY("-1", FIRST)),
		RECORD(KEY("4294967296", FIRST)), RECORD(KEY("1", FIRST) "," KEY("1", FIRST)),
		RECORD(KEY("2", FIRST "," VERSION("2", "active", "m", ""))),
		RECORD(KEY("2", FIRST "," VERSION("1", "created", "m", ""))),
		RECORD(KEY("2", VERSION("2", "created", "m", "") "," FIRST)),
		RECORD(KEY("2", FIRST "," VERSION("3", "created", "m", ""))),
		RECORD(KEY("1", VERSION("0", "active", "l", ""))), RECORD(KEY("1", VERSION("1", "created", "l", ""))),
		RECORD(KEY("1", VERSION("1", "gone", "l", ""))), RECORD(KEY("1", VERSION("1", "active", "", ""))),
		RECORD(KEY("1", VERSION("1", "active", "l", "1"))), RECORD(KEY("1", VERSION("1", "active", "l", "xy"))),
		RECORD(KEY("1", VERSION("1", "active", "l\\u0000", ""))),
		RECORD(KEY("1", VERSION("\"1\"", "active", "l", ""))),
		RECORD(KEY("1", VERSION("1", "active",
					"0123456789012345678901234567890123456789012345678901234567890123x", "")))};
	cr_assert_eq(read_text(RECORD(KEY("2", FIRST "," VERSION("2", "retired", "m", "")))), HM_OK, "%s", why.detail);
	for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
		why = (struct hm_problem){0};
		cr_expect_eq(read_text(damaged[i]), HM_REFUSED, "%s", damaged[i]);
		cr_expect(strstr(why.detail, "damaged"), "%s: %s", damaged[i], why.detail);
	}
}

/* ---- room ---- */

Test(key_record, the_oldest_retired_version_makes_room)
{
	struct key_record *record = add_key("access");
	while (record->count < HM_KEY_VERSIONS_MAX)
		add(record, KEY_CREATED);
	cr_expect_null(key_record_add(record));
	record->versions[3].state = record->versions[5].state = KEY_RETIRED;
	struct key_version *version = key_record_add(record);
	cr_assert_not_null(version);
	cr_expect_eq(version->number, HM_KEY_VERSIONS_MAX + 1);
	cr_expect_eq(record->count, HM_KEY_VERSIONS_MAX);
	cr_expect_eq(record->versions[3].number, 5, "the fourth is gone");
	cr_expect_eq(record->versions[4].state, KEY_RETIRED, "the sixth is not");
	cr_expect_eq(version, &record->versions[HM_KEY_VERSIONS_MAX - 1]);
}

Test(key_record, a_number_is_not_given_twice)
{
	struct key_record *record = add_key("access");
	add(record, KEY_RETIRED);
	key_record_remove(record, &record->versions[1]);
	cr_expect_eq(record->count, 1);
	cr_expect_eq(key_record_add(record)->number, 3);
}

Test(key_record, a_key_that_is_configured_no_longer_makes_room)
{
	struct config_key keys[] = {{.name = "0"}, {.name = "2"}};
	config = (struct config){.keys = keys, .keys_count = 2};
	for (unsigned i = 0; i < HM_KEYS_MAX; i++) {
		char name[8];
		snprintf(name, sizeof name, "%u", i);
		add_key(name);
	}
	struct key_record *record = key_records_add(&records, &config, "new");
	cr_expect_eq(record, &records.records[1]);
	cr_expect_eq(record->count + record->last, 0, "nothing is left of the key before");
	cr_expect_null(key_records_find(&records, "1"));
	cr_expect_eq(key_records_find(&records, "new"), record);
}
