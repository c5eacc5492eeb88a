/*
 * The loader: every row of options.def can be set from a file and says where it came from; flag
 * beats environment beats file beats default; what is wrong is named with its line; nothing secret
 * is shown.
 */
#include "conf/load.h"

#include "conf/value.h"
#include "json/scan.h"

#include <ctype.h>

/* A configuration shown as JSON with sources, and taken apart. */
struct shown {
    struct ar_arena arena;
    struct ar_buf text;
    struct ar_jdoc doc;
};

static void show(struct shown *s, const struct ar_config *c)
{
    ar_arena_init(&s->arena, 4 << 20);
    ar_buf_init(&s->text, 4 << 20);
    ar_config_show(c, true, true, &s->text);
    CHECK_OK(ar_buf_finish(&s->text));
    CHECK_OK(ar_json_parse(ar_buf_view(&s->text), AR_JSON_DEPTH, &s->arena, &s->doc, NULL));
}

static void unshow(struct shown *s)
{
    ar_buf_done(&s->text);
    ar_arena_done(&s->arena);
}

/* upstream < 0: of the root. */
static struct ar_str shown_part(struct shown *s, int upstream, const char *path, const char *part)
{
    struct ar_jval at = ar_json_root(&s->doc);
    if (upstream >= 0) {
        at = ar_json_at(ar_json_get_lit(at, "upstreams"), (uint32_t)upstream);
    }
    struct ar_jval v = ar_json_get(ar_json_get(at, ar_str_of(path)), ar_str_of(part));
    return v.doc ? ar_json_unescape_in(ar_json_esc(v), &s->arena) : (struct ar_str){NULL, 0};
}

static void check_shown(const struct ar_config *c, int upstream, const char *path,
                        const char *value, const char *source)
{
    struct shown s;
    show(&s, c);
    CHECK_STR(shown_part(&s, upstream, path, "value"), value);
    struct ar_str got = shown_part(&s, upstream, path, "source");
    if (!ar_str_has_suffix(got, ar_str_of(source))) {
        print_error("source of %s: want \"...%s\", got \"%.*s\"\n", path, source, AR_FMT(got));
        fail();
    }
    unshow(&s);
}

/* What a test writes for an option, and what is shown of it. */
static void sample(const struct ar_option_row *row, const char **ret_yaml, const char **ret_shown)
{
    static const struct {
        const char *key, *yaml, *shown;
    } OF_PATH[] = {{"workers", "17", "17"},         {"balance", "weighted", "weighted"},
                   {"log.level", "error", "error"}, {"log.format", "json", "json"},
                   {"passthrough", "true", "true"}, {"proxy", "http://u:p@h:1", "***"}};
    static const struct {
        const char *key, *yaml, *shown;
    } OF_TYPE[] = {{"STR", "word-7", "word-7"},
                   {"INT", "17", "17"},
                   {"MS", "1500ms", "1500ms"},
                   {"BYTES", "3MiB", "3MiB"},
                   {"LIST", "[a1, b2]", "a1,b2"}};
    for (size_t i = 0; i < sizeof OF_PATH / sizeof *OF_PATH; i++) {
        if (strcmp(row->path, OF_PATH[i].key) == 0) {
            *ret_yaml = OF_PATH[i].yaml;
            *ret_shown = OF_PATH[i].shown;
            return;
        }
    }
    bool on = strcmp(row->def, "true") == 0 || strcmp(row->def, "on") == 0;
    *ret_yaml = on ? "off" : "yes";
    *ret_shown = on ? "false" : "true";
    for (size_t i = 0; i < sizeof OF_TYPE / sizeof *OF_TYPE; i++) {
        if (strcmp(row->type, OF_TYPE[i].key) == 0) {
            *ret_yaml = OF_TYPE[i].yaml;
            *ret_shown = OF_TYPE[i].shown;
        }
    }
}

static void test_every_option_is_read_and_sourced(void **state)
{
    (void)state;
    const struct ar_option_row *row;
    unsigned n = 0;
    for (; (row = ar_option_row(n)) != NULL; n++) {
        const char *yaml, *shown, *dot = strchr(row->path, '.');
        char text[256];
        bool root = strcmp(row->scope, "ROOT") == 0, tls = strncmp(row->path, "tls.", 4) == 0;
        sample(row, &yaml, &shown);
        if (!root) {
            (void)snprintf(text, sizeof text, "upstreams:\n  -\n    %s: %s\n", row->path, yaml);
        } else if (tls) {
            (void)snprintf(text, sizeof text, "# one\n# two\ntls: {cert: word-7, key: word-7}\n");
        } else if (dot) {
            (void)snprintf(text, sizeof text, "# one\n%.*s:\n  %s: %s\n", (int)(dot - row->path),
                           row->path, dot + 1, yaml);
        } else {
            (void)snprintf(text, sizeof text, "# one\n# two\n%s: %s\n", row->path, yaml);
        }
        struct ar_config *c = load_good(text);
        check_shown(c, root ? -1 : 0, row->path, shown, ":3");
        ar_config_free(c);
        assert_true(strlen(row->doc) > 4);
        assert_null(strchr(row->doc, '\n'));
    }
    assert_int_equal(n, AR_OPTION_COUNT);
    assert_true(n > 40);
}

static void test_every_default_is_shown_as_default(void **state)
{
    (void)state;
    struct ar_config *c = load_good("upstreams: [{name: x}]\n");
    const struct ar_option_row *row;
    struct shown s;
    show(&s, c);
    for (unsigned i = 0; (row = ar_option_row(i)) != NULL; i++) {
        bool root = strcmp(row->scope, "ROOT") == 0;
        if (root || strcmp(row->path, "name") != 0) {
            CHECK_STR(shown_part(&s, root ? -1 : 0, row->path, "source"), "default");
        }
    }
    unshow(&s);
    assert_int_equal(c->body_limit, 64 << 20);
    assert_int_equal(c->limits_head_time, 10000);
    assert_int_equal(c->max_attempts, 8);
    assert_int_equal(c->default_max_tokens, 32000);
    assert_int_equal(c->log_access, 0);
    assert_int_equal(c->shared_paths.n, 6);
    assert_int_equal(c->upstreams->enabled, 1);
    assert_int_equal(c->upstreams->connect_timeout, 10000);
    ar_config_free(c);
}

static void test_json_is_read_too(void **state)
{
    (void)state;
    struct ar_config *c = load_good(
        "{\"max_attempts\": 3, \"log\": {\"access\": \"on\"}, \"listen\": [\"[::1]:1\", \"*:2\"],\n"
        " \"upstreams\": [{\"name\": \"a\", \"keys\": [\"k\"]}]}");
    assert_int_equal(c->max_attempts, 3);
    assert_int_equal(c->log_access, 1);
    assert_int_equal(c->listen.n, 2);
    CHECK_STR(c->listen.v[0], "[::1]:1");
    assert_int_equal(c->upstreams->key_count, 1);
    ar_config_free(c);
}

static void test_an_empty_file_is_all_defaults(void **state)
{
    (void)state;
    static const char *const TEXTS[] = {"",
                                        "# nothing\n",
                                        "---\n",
                                        "{}\n",
                                        "upstreams:\n",
                                        "listen: ~\n",
                                        "log:\nlimits:\naliases:\n"};
    for (size_t i = 0; i < sizeof TEXTS / sizeof *TEXTS; i++) {
        struct ar_config *c = load_good(TEXTS[i]);
        CHECK_STR(c->listen.v[0], "127.0.0.1:9999");
        assert_null(c->upstreams);
        ar_config_free(c);
    }
}

static void test_units(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t want; /* -1: refused */
    } TIMES[] = {{"500ms", 500},  {"10s", 10000},   {"2m", 120000},
                 {"1h", 3600000}, {"1d", 86400000}, {"7", 7000},
                 {"0", 0},        {"10 s", 10000},  {"5S", 5000},
                 {"", -1},        {"s", -1},        {"-1s", -1},
                 {"1w", -1},      {"1.5s", -1},     {"1s2", -1},
                 {"0x10", -1},    {"1e3", -1},      {"99999999999999999d", -1},
                 {" 1s", -1}},
      SIZES[] = {{"64MiB", 64 << 20},
                 {"10kB", 10000},
                 {"1KiB", 1024},
                 {"1GiB", 1 << 30},
                 {"2MB", 2000000},
                 {"1GB", 1000000000},
                 {"77", 77},
                 {"77B", 77},
                 {"", -1},
                 {"MiB", -1},
                 {"1XB", -1},
                 {"-1B", -1},
                 {"9999999999999GiB", -1}},
      BOOLS[] = {{"true", 1}, {"on", 1}, {"yes", 1}, {"1", 1}, {"TRUE", 1}, {"false", 0},
                 {"off", 0},  {"no", 0}, {"0", 0},   {"", -1}, {"2", -1},   {"y", -1}};
    for (size_t i = 0; i < sizeof TIMES / sizeof *TIMES; i++) {
        int64_t v = -1;
        enum ar_code code = ar_value_ms(ar_str_of(TIMES[i].text), 1000, &v);
        assert_int_equal(code, TIMES[i].want < 0 ? AR_INVALID_REQUEST : AR_OK);
        assert_true(code != AR_OK || v == TIMES[i].want);
    }
    for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++) {
        int64_t v = -1;
        enum ar_code code = ar_value_bytes(ar_str_of(SIZES[i].text), &v);
        assert_int_equal(code, SIZES[i].want < 0 ? AR_INVALID_REQUEST : AR_OK);
        assert_true(code != AR_OK || v == SIZES[i].want);
    }
    for (size_t i = 0; i < sizeof BOOLS / sizeof *BOOLS; i++) {
        int64_t v = -1;
        enum ar_code code = ar_value_bool(ar_str_of(BOOLS[i].text), &v);
        assert_int_equal(code, BOOLS[i].want < 0 ? AR_INVALID_REQUEST : AR_OK);
        assert_true(code != AR_OK || v == BOOLS[i].want);
    }
}

/* What is shown of a scalar reads back as the same. */
static void test_values_read_back(void **state)
{
    (void)state;
    static const int64_t NUMBERS[] = {0,    1,     499,   500,     1000,    1024,          1500,
                                      4096, 60000, 90000, 1 << 20, 3600000, (1 << 20) + 1, 1 << 30};
    static const char *const TYPES[] = {"MS", "BYTES", "INT"};
    struct ar_arena a;
    ar_arena_init(&a, 1 << 20);
    for (size_t i = 0; i < sizeof NUMBERS / sizeof *NUMBERS; i++) {
        for (size_t t = 0; t < sizeof TYPES / sizeof *TYPES; t++) {
            int64_t v = NUMBERS[i], again = -1;
            struct ar_str text = ar_value_text((struct ar_option_slot){TYPES[t], &v}, &a);
            CHECK_OK(ar_value_set((struct ar_option_slot){TYPES[t], &again}, text, &a, NULL));
            assert_int_equal(again, v);
        }
    }
    ar_arena_done(&a);
}

static void test_flag_beats_env_beats_file_beats_default(void **state)
{
    (void)state;
    static const struct load_env ENV[] = {
        {"DEFAULT_MAX_TOKENS", "5"}, {"PORT", "7001"}, {NULL, NULL}};
    struct load l = load_text("\n", NULL);
    check_shown(l.config, -1, "default_max_tokens", "32000", "default");
    ar_config_free(l.config);

    l = load_text("\ndefault_max_tokens: 4\n", NULL);
    check_shown(l.config, -1, "default_max_tokens", "4", ":2");
    ar_config_free(l.config);

    l = load_text("default_max_tokens: 4\nlisten: 'a:1'\n", ENV);
    check_shown(l.config, -1, "default_max_tokens", "5", "env DEFAULT_MAX_TOKENS");
    check_shown(l.config, -1, "listen", "a:1,127.0.0.1:7001", "env PORT");
    ar_config_free(l.config);

    l = load_with("listen: 'a:1'\n", ENV,
                  (struct ar_conf_ask){.listen = "b:2,c:3", .allow_open = true});
    check_shown(l.config, -1, "listen", "b:2,c:3", "flag --listen");
    check_shown(l.config, -1, "allow_open", "true", "flag --allow-open");
    ar_config_free(l.config);
}

static void test_variables(void **state)
{
    (void)state;
    static const struct load_env ENV[] = {{"V", "a: [b"}, {"W", "w"}, {"EMPTY", ""}, {NULL, NULL}};
    static const struct {
        const char *yaml, *want; /* of host_names; NULL: refused */
    } CASES[] = {{"host_names: ['${V}']", "a: [b"},
                 {"host_names: ${W}", "w"},
                 {"host_names: x${W}y${W}z", "xwywz"},
                 {"host_names: ${NONE:d}", "d"},
                 {"host_names: ['${NONE:http://h:1/p}']", "http://h:1/p"},
                 {"host_names: ['${NONE:}']", ""},
                 {"host_names: ['${EMPTY:d}']", "d"},
                 {"host_names: ['$W']", "$W"},
                 {"host_names: ['${W']", "${W"},
                 {"host_names: ['a$']", "a$"},
                 {"host_names: ['${NONE}']", NULL},
                 {"host_names: ['${EMPTY}']", NULL}};
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct load l = load_text(CASES[i].yaml, ENV);
        assert_int_equal(l.code, CASES[i].want ? AR_OK : AR_INVALID_REQUEST);
        if (l.code == AR_OK) {
            assert_int_equal(l.config->host_names.n, 1);
            CHECK_STR(l.config->host_names.v[0], CASES[i].want);
            ar_config_free(l.config);
        } else {
            assert_non_null(strstr(l.err.note, i == 10 ? "NONE" : "EMPTY"));
        }
    }
}

/* Text that must be refused, and what the message says. */
static void check_refused(const char *yaml, const char *line, const char *word)
{
    struct load l = load_text(yaml, NULL);
    if (l.code != AR_INVALID_REQUEST || !strstr(l.err.note, line) || !strstr(l.err.note, word) ||
        !strstr(l.err.note, "conf.")) {
        print_error("of: %s\nwant \"%s\" and \"%s\"\ngot  %d \"%s\"\n", yaml, line, word,
                    (int)l.code, l.code ? l.err.note : "");
        fail();
    }
}

static void test_the_slip_with_braces_shows_the_quotes(void **state)
{
    (void)state;
    check_refused("upstreams:\n  - name: a\n    keys: [${X}]\n", "line 3", "[\"${X}\"]");
}

static void test_unknown_keys_name_the_nearest(void **state)
{
    (void)state;
    check_refused("max_atempts: 3\n", ":1", "did you mean max_attempts?");
    check_refused("\nlog: {levle: info}\n", ":2", "did you mean log.level?");
    check_refused("limits:\n  heads: 1\n", ":2", "did you mean limits.head?");
    check_refused("upstream: []\n", ":1", "did you mean upstreams?");
    check_refused("alias: {}\n", ":1", "did you mean aliases?");
    check_refused("upstreams:\n  - name: a\n    base_ulrs: [x]\n", ":3", "did you mean base_urls?");
    check_refused("upstreams:\n  - name: a\n    key: k\n", ":3", "did you mean keys?");
    check_refused("upstreams:\n  - name: a\n    model: [m]\n", ":3", "did you mean models?");
    check_refused("upstreams: [{keys: [{secret: k, wait: 2}]}]\n", ":1", "wait");
    check_refused("quite_something_else: 1\n", ":1", "quite_something_else");
    check_refused("log: debug\n", ":1", "such as log.level");
    check_refused("timeout: 3\n", ":1", "an entry of upstreams");
    check_refused("upstreams: [{workers: 3}]\n", ":1", "the top level");
    check_refused("server:\n  port: 1\n", ":1", "server");
}

static void test_options_of_later_versions_are_refused(void **state)
{
    (void)state;
    static const char *const LATER[] = {
#define X(path, doc) path,
#include "conf/later.def"
#undef X
    };
    for (size_t i = 0; i < sizeof LATER / sizeof *LATER; i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "\n%s: on\n", LATER[i]);
        check_refused(text, ":2", "no ");
        check_refused(text, "yet", LATER[i]);
        (void)snprintf(text, sizeof text, "%s: {enabled: true}\n", LATER[i]);
        check_refused(text, ":1", LATER[i]);
        (void)snprintf(text, sizeof text, "%s: [a]\n", LATER[i]);
        check_refused(text, ":1", LATER[i]);
    }
}

static void test_wrong_values_are_refused_with_their_line(void **state)
{
    (void)state;
    check_refused("a: 1\na: 2\n", "line 2", "twice");
    check_refused("upstreams:\n  - name: x\n    name: y\n", "line 3", "name stands twice");
    check_refused("upstreams:\n  - name: x\n    keys: [\"\"]\n", ":3", "is empty");
    check_refused("upstreams:\n  - name: x\n    keys: [{secret: \"${NO_SUCH_THING:}\"}]\n", ":3",
                  "is empty");
    check_refused("- a\n", "line 1", "map");
    check_refused("word\n", "line 1", "map");
    check_refused("a: &x 1\nb: *x\n", "line 2", "alias");
    check_refused("? [a]\n: b\n", "line 1", "plain text");
    check_refused("max_attempts: many\n", ":1", "whole number");
    check_refused("max_attempts: -1\n", ":1", "whole number");
    check_refused("max_attempts: [1]\n", ":1", "a single value");
    check_refused("max_attempts: {a: 1}\n", ":1", "a single value");
    check_refused("body_limit: big\n", ":1", "size");
    check_refused("drain_timeout: soon\n", ":1", "time");
    check_refused("require_token: maybe\n", ":1", "true or false");
    check_refused("listen: [[a]]\n", ":1", "list of values");
    check_refused("upstreams: {a: b}\n", ":1", "list");
    check_refused("upstreams: [a]\n", ":1", "map");
    check_refused("upstreams: [{balance: fair}]\n", ":1", "round_robin");
    check_refused("upstreams: [{keys: {a: b}}]\n", ":1", "list");
    check_refused("upstreams: [{keys: [{weight: 1}]}]\n", ":1", "secret");
    check_refused("upstreams: [{keys: [{secret: k, rpm: x}]}]\n", ":1", "whole number");
    check_refused("upstreams: [{models: m}]\n", ":1", "list");
    check_refused("upstreams: [{models: [{from: m}]}]\n", ":1", "from");
    check_refused("upstreams: [{headers: [a]}]\n", ":1", "map");
    check_refused("upstreams: [{headers: {a: \"x\\r\\ny: z\"}}]\n", ":1", "single-line");
    check_refused("upstreams:\n  - models: [{from: \"a/*\",\n      to: \"b/*\"}]\n", ":3",
                  "one model");
    check_refused("upstreams: [{headers: {\"x y\": z}}]\n", ":1", "no header");
    check_refused("upstreams: [{headers: {Content-Length: 1}}]\n", ":1", "no header");
    check_refused("listen: a:1\n---\nlisten: b:1\n", "line 2", "second document");
    check_refused("aliases: [a]\n", ":1", "map");
    check_refused("aliases: {a: \"@preset/b\"}\n", ":1", "a model's name");
    check_refused("aliases: {a: {b: c}}\n", ":1", "a model's name");
    check_refused("a: [b\n", "line ", "");
    check_refused("\"a\n", "line ", "");
}

static void test_words_are_checked(void **state)
{
    (void)state;
    static const char *const TEXTS[] = {"balance: fair\n",      "log: {level: loud}\n",
                                        "log: {format: xml}\n", "tls: {cert: a.pem}\n",
                                        "tls: {key: a.pem}\n",  "max_attempts: 0\n",
                                        "workers: many\n",      "workers: 0\n"};
    static const char *const WORDS[] = {"balance", "log.level",    "log.format", "tls",
                                        "tls",     "max_attempts", "workers",    "workers"};
    for (size_t i = 0; i < sizeof TEXTS / sizeof *TEXTS; i++) {
        struct load l = load_text(TEXTS[i], NULL);
        assert_int_equal(l.code, AR_INVALID_REQUEST);
        assert_non_null(strstr(l.err.note, WORDS[i]));
    }
}

/* One value for an option, from a file; NULL: it is taken, else what is said against it. */
static const char *say(const struct ar_option_row *row, const char *value, struct load *ret)
{
    char text[256];
    const char *dot = strchr(row->path, '.');
    if (strcmp(row->scope, "ROOT") != 0) {
        (void)snprintf(text, sizeof text, "upstreams: [{%s: %s}]\n", row->path, value);
    } else if (dot) {
        (void)snprintf(text, sizeof text, "%.*s: {%s: %s}\n", (int)(dot - row->path), row->path,
                       dot + 1, value);
    } else {
        (void)snprintf(text, sizeof text, "%s: %s\n", row->path, value);
    }
    *ret = load_text(text, NULL);
    ar_config_free(ret->config);
    return ret->code == AR_OK ? NULL : ret->err.note;
}

static void want_taken(const struct ar_option_row *row, const char *value)
{
    struct load l;
    const char *note = say(row, value, &l);
    if (note) {
        print_error("%s: %s: %s\n", row->path, value, note);
        fail();
    }
}

static void want_refused(const struct ar_option_row *row, const char *value, const char *number)
{
    struct load l;
    char must[120];
    const char *note = say(row, value, &l);
    (void)snprintf(must, sizeof must, "%s must be ", row->path);
    if (!note || !strstr(note, must) || !strstr(note, ", not ") || !strstr(note, number)) {
        print_error("%s: %s: %s\n", row->path, value, note ? note : "taken");
        fail();
    }
}

/* Least and most are taken; a tenth of the least and ten times the most are not. */
static void check_limits(const struct ar_option_row *row, struct ar_str part)
{
    size_t at = ar_str_find(part, AR_LIT(".."));
    struct ar_str ends[2] = {ar_str_head(part, at), ar_str_from(part, at + 2)};
    for (int i = 0; i < 2; i++) {
        char value[64];
        size_t digits = 0;
        while (digits < ends[i].n && isdigit((unsigned char)ends[i].p[digits])) {
            digits++;
        }
        struct ar_str unit = ar_str_from(ends[i], digits);
        (void)snprintf(value, sizeof value, "%.*s", AR_FMT(ends[i]));
        want_taken(row, value);
        if (i == 0 && ends[i].p[0] == '0') {
            continue;
        }
        int kept = (int)(i == 0 ? digits - 1 : digits);
        (void)snprintf(value, sizeof value, "%.*s%s%.*s", kept, ends[i].p,
                       i == 0 && kept > 0 ? "" : "0", AR_FMT(unit));
        want_refused(row, value, kept > 0 ? "not " : "not 0");
    }
}

static void test_ranges_come_from_the_table(void **state)
{
    (void)state;
    const struct ar_option_row *row;
    unsigned ranges = 0, words = 0;
    for (unsigned i = 0; (row = ar_option_row(i)) != NULL; i++) {
        struct ar_str rest = ar_str_of(row->range), part;
        bool is_number = strcmp(row->type, "STR") != 0 && strcmp(row->type, "LIST") != 0 &&
                         strcmp(row->type, "BOOL") != 0;
        assert_true(!is_number || rest.n > 0); /* every number has its limits */
        if (rest.n > 0 && row->def[0]) {
            want_taken(row, row->def);
        }
        while (rest.n > 0 && ar_str_split(&rest, '|', &part)) {
            if (ar_str_has(part, AR_LIT(".."))) {
                check_limits(row, part);
                ranges++;
            } else {
                char word[32];
                (void)snprintf(word, sizeof word, "%.*s", AR_FMT(part));
                want_taken(row, word);
                want_refused(row, "rubbish", "not rubbish");
                words++;
            }
        }
    }
    assert_true(ranges > 18 && words > 10);
    struct load l = load_text("", (const struct load_env[]){{"DEFAULT_MAX_TOKENS", "0"}, {0}});
    assert_int_equal(l.code, AR_INVALID_REQUEST);
    assert_non_null(strstr(l.err.note, "DEFAULT_MAX_TOKENS must be 1 to "));
    check_refused("upstreams: [{keys: [{secret: k, weight: 1000001}]}]\n",
                  "weight must be 0 to 1000000, not 1000001", ":1");
}

static void test_ranges_are_shown(void **state)
{
    (void)state;
    struct ar_config *c = load_good("upstreams: [{name: x}]\n");
    struct shown s;
    show(&s, c);
    CHECK_STR(shown_part(&s, -1, "workers", "range"), "auto or 1 to 256");
    CHECK_STR(shown_part(&s, -1, "limits.head_time", "range"), "1ms to 24h");
    CHECK_STR(shown_part(&s, 0, "priority", "range"), "0 to 100000");
    assert_null(shown_part(&s, -1, "listen", "range").p);
    unshow(&s);
    struct ar_buf out;
    ar_buf_init(&out, 1 << 20);
    ar_config_show(c, true, false, &out);
    assert_true(ar_str_has(ar_buf_view(&out), AR_LIT("max_attempts: 8  # default (1 to 1000)\n")));
    ar_buf_done(&out);
    ar_config_free(c);
}

static void test_depth_is_bounded(void **state)
{
    (void)state;
    char text[4100] = "a: ";
    for (size_t i = 3; i < 4003; i++) {
        text[i] = '[';
    }
    struct load l = load_text(text, NULL);
    assert_int_equal(l.code, AR_INVALID_REQUEST);
}

static void test_a_missing_file_is_an_error(void **state)
{
    (void)state;
    struct ar_config *c;
    struct ar_err err;
    struct ar_conf_ask ask = {.path = "no/such/anyrouter.yaml", .getenv_fn = load_getenv};
    load_environment = NULL;
    assert_int_equal(ar_config_load(&ask, &c, &err), AR_INVALID_REQUEST);
    assert_non_null(strstr(err.note, "no/such/anyrouter.yaml"));
    static const struct load_env ENV[] = {{"ANYROUTER_CONFIG", "else/where.yaml"}, {NULL, NULL}};
    load_environment = ENV;
    assert_string_equal(ar_config_find(&ask), "no/such/anyrouter.yaml");
    ask.path = NULL;
    assert_string_equal(ar_config_find(&ask), "else/where.yaml");
}

static void test_secrets_are_never_shown(void **state)
{
    (void)state;
    static const struct load_env ENV[] = {{"SECRET", "canary-5"}, {NULL, NULL}};
    struct load l = load_text(
        "upstreams:\n"
        "  - name: a\n"
        "    keys: [canary-1, 'canary-2, canary-3', {secret: canary-4, rpm: 3}, '${SECRET}']\n"
        "    headers: {x-token: canary-6}\n"
        "    proxy: http://user:canary-7@host:1\n"
        "  - {name: b, keys: canary-8}\n",
        ENV);
    CHECK_OK(l.code);
    assert_int_equal(l.config->upstreams->key_count, 5);
    for (int how = 0; how < 4; how++) {
        struct ar_buf out;
        ar_buf_init(&out, 1 << 20);
        ar_config_show(l.config, how & 1, how & 2, &out);
        assert_true(out.n > 1000);
        assert_false(ar_str_has(ar_buf_view(&out), AR_LIT("canary")));
        assert_true(ar_str_has(ar_buf_view(&out), AR_LIT("***,***,***,***,***")));
        assert_true(ar_str_has(ar_buf_view(&out), AR_LIT("x-token")));
        ar_buf_done(&out);
    }
    ar_config_free(l.config);
}

static void test_keys(void **state)
{
    (void)state;
    struct ar_config *c = load_good("upstreams:\n"
                                    "  - name: a\n"
                                    "    keys: ['k1, k2,,k3', k4, {secret: k5, weight: 2, "
                                    "daily_requests: 1000, rpm: 50, tpm: 100000, concurrency: 8}]\n"
                                    "  - {name: b, keys: ' x , y '}\n"
                                    "  - {name: c, keys: []}\n"
                                    "  - {name: d, keys: ~}\n");
    const struct ar_conf_upstream *a = c->upstreams, *b = a->next;
    assert_int_equal(a->key_count, 5);
    for (unsigned i = 0; i < 5; i++) {
        char want[3] = {'k', (char)('1' + i), '\0'};
        CHECK_STR(a->keys[i].secret, want);
        assert_int_equal(a->keys[i].weight, i == 4 ? 2 : 1);
    }
    assert_int_equal(a->keys[4].daily_requests, 1000);
    assert_int_equal(a->keys[4].rpm, 50);
    assert_int_equal(a->keys[4].tpm, 100000);
    assert_int_equal(a->keys[4].concurrency, 8);
    assert_int_equal(b->key_count, 2);
    CHECK_STR(b->keys[1].secret, "y");
    assert_int_equal(b->next->key_count, 0);
    assert_int_equal(b->next->next->key_count, 0);
    ar_config_free(c);
}

static void test_models_aliases_headers(void **state)
{
    (void)state;
    struct ar_config *c =
        load_good("aliases: {sonnet: anthropic/claude-sonnet-4.5, fast: gpt-5-mini}\n"
                  "upstreams:\n"
                  "  - name: a\n"
                  "    models: ['claude-*', {from: sonnet, to: claude-sonnet-4-5}]\n"
                  "    headers: {X-Title: mine, x-n: 3}\n"
                  "    dialect: anthropic\n"
                  "    base_url: http://h/v1\n"
                  "  - {name: b, models: []}\n");
    const struct ar_conf_upstream *a = c->upstreams;
    assert_int_equal(c->alias_count, 2);
    CHECK_STR(c->aliases[0].to, "anthropic/claude-sonnet-4.5");
    assert_int_equal(a->model_count, 2);
    CHECK_STR(a->models[0].from, "claude-*");
    assert_null(a->models[0].to.p);
    CHECK_STR(a->models[1].to, "claude-sonnet-4-5");
    assert_int_equal(a->header_count, 2);
    CHECK_STR(a->headers[0].name, "X-Title");
    CHECK_STR(a->headers[1].value, "3");
    CHECK_STR(a->dialects.v[0], "anthropic");
    CHECK_STR(a->base_urls.v[0], "http://h/v1");
    assert_true(a->next->has_models);
    assert_int_equal(a->next->model_count, 0);
    ar_config_free(c);
}

static void test_odd_names_are_shown_as_json(void **state)
{
    (void)state;
    struct ar_config *c =
        load_good("aliases: {'a\"b\\': m}\nupstreams: [{name: u, headers: {\"h'\": v}}]\n");
    struct shown s;
    show(&s, c); /* parses what is shown */
    CHECK_STR(shown_part(&s, -1, "aliases.a\"b\\", "value"), "m");
    unshow(&s);
    ar_config_free(c);
}

static void test_old_names(void **state)
{
    (void)state;
    static const struct load_env ENV[] = {{"ANYROUTER_BASE_URL", "https://one,https://two"},
                                          {"ANYROUTER_API_KEY", "k1,k2"},
                                          {"ANYROUTER_API_KEYS", "k3"},
                                          {"ANYROUTER_DIALECT", "chat"},
                                          {"ANYROUTER_TIMEOUT", "7"},
                                          {"ANYROUTER_STREAM_TIMEOUT", "8"},
                                          {"ANYROUTER_MAX_RETRIES", "3"},
                                          {"ANYROUTER_ENABLED", "no"},
                                          {"FORCE_NON_STREAM", "true"},
                                          {"HOST", "0.0.0.0"},
                                          {"PORT", "1"},
                                          {"OPENAI_PROXY_PORT", "2"},
                                          {"SERVER_PORT", "3"},
                                          {"ADMIN_PASSWORD", "canary"},
                                          {"HTTPS_PROXY", "http://p:1"},
                                          {"NO_PROXY", "localhost"},
                                          {NULL, NULL}};
    struct load l = load_text("", ENV);
    CHECK_OK(l.code);
    const struct ar_conf_upstream *u = l.config->upstreams;
    assert_non_null(u);
    assert_null(u->next);
    CHECK_STR(u->name, "anyrouter");
    assert_int_equal(u->base_urls.n, 2);
    assert_int_equal(u->key_count, 3);
    CHECK_STR(u->dialects.v[0], "chat");
    assert_int_equal(u->timeout, 7000);
    assert_int_equal(u->stream_timeout, 8000);
    assert_int_equal(u->max_retries, 3);
    assert_int_equal(u->enabled, 0);
    assert_int_equal(u->force_non_stream, 1);
    assert_int_equal(u->priority, 1);
    check_shown(l.config, -1, "listen", "127.0.0.1:9999,0.0.0.0:1,0.0.0.0:2,0.0.0.0:3",
                "env SERVER_PORT");
    check_shown(l.config, 0, "timeout", "7s", "env ANYROUTER_TIMEOUT");
    CHECK_STR(l.config->env_proxy, "http://p:1");
    CHECK_STR(l.config->env_no_proxy, "localhost");
    assert_int_equal(l.config->notices.n, 14); /* each but the two of the proxy says so once */
    for (unsigned i = 0; i < l.config->notices.n; i++) {
        assert_false(ar_str_has(l.config->notices.v[i], AR_LIT("canary")));
    }
    ar_config_free(l.config);
    l = load_text("upstreams: [{name: mine, provider: openai}]\n", ENV);
    CHECK_OK(l.code);
    CHECK_STR(l.config->upstreams->name, "mine");
    assert_null(l.config->upstreams->next);
    ar_config_free(l.config);
}

static void test_a_wrong_variable_is_named(void **state)
{
    (void)state;
    static const struct load_env ENV[] = {{"ANYROUTER_MAX_RETRIES", "often"}, {NULL, NULL}};
    struct load l = load_text("", ENV);
    assert_int_equal(l.code, AR_INVALID_REQUEST);
    assert_non_null(strstr(l.err.note, "ANYROUTER_MAX_RETRIES"));
}

static void test_word_distance(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        unsigned want;
    } CASES[] = {{"", "", 0},         {"a", "", 1},       {"", "abc", 3}, {"kitten", "sitting", 3},
                 {"keys", "keys", 0}, {"key", "keys", 1}, {"ab", "ba", 2}};
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        assert_int_equal(ar_word_distance(ar_str_of(CASES[i].a), ar_str_of(CASES[i].b)),
                         CASES[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_option_is_read_and_sourced),
        cmocka_unit_test(test_every_default_is_shown_as_default),
        cmocka_unit_test(test_json_is_read_too),
        cmocka_unit_test(test_an_empty_file_is_all_defaults),
        cmocka_unit_test(test_units),
        cmocka_unit_test(test_values_read_back),
        cmocka_unit_test(test_flag_beats_env_beats_file_beats_default),
        cmocka_unit_test(test_variables),
        cmocka_unit_test(test_the_slip_with_braces_shows_the_quotes),
        cmocka_unit_test(test_unknown_keys_name_the_nearest),
        cmocka_unit_test(test_options_of_later_versions_are_refused),
        cmocka_unit_test(test_wrong_values_are_refused_with_their_line),
        cmocka_unit_test(test_words_are_checked),
        cmocka_unit_test(test_ranges_come_from_the_table),
        cmocka_unit_test(test_ranges_are_shown),
        cmocka_unit_test(test_depth_is_bounded),
        cmocka_unit_test(test_a_missing_file_is_an_error),
        cmocka_unit_test(test_secrets_are_never_shown),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_models_aliases_headers),
        cmocka_unit_test(test_odd_names_are_shown_as_json),
        cmocka_unit_test(test_old_names),
        cmocka_unit_test(test_a_wrong_variable_is_named),
        cmocka_unit_test(test_word_distance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
