/* SPDX-License-Identifier: PostgreSQL
 *
 * The translator of T-SQL expressions: what it makes of those that SQL Server's catalog holds, and what it
 * refuses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "legacy/mssql_expression.h"

static struct ms_catalog_column columns[] = {
    {.name = (char *)(uintptr_t) "Age"},      {.name = (char *)(uintptr_t) "Sex"},
    {.name = (char *)(uintptr_t) "Name"},     {.name = (char *)(uintptr_t) "Born"},
    {.name = (char *)(uintptr_t) "Active"},   {.name = (char *)(uintptr_t) "Price"},
    {.name = (char *)(uintptr_t) "Code"},     {.name = (char *)(uintptr_t) "Id"},
    {.name = (char *)(uintptr_t) "At"},       {.name = (char *)(uintptr_t) "Raw"},
    {.name = (char *)(uintptr_t) "Odd]Name"}, {.name = (char *)(uintptr_t) "Gone"},
    {.name = (char *)(uintptr_t) "Seen"},     {.name = (char *)(uintptr_t) "Vague"}};

static struct ms_catalog_table table = {.columns = columns,
                                        .column_count = sizeof(columns) / sizeof(columns[0])};

static void set(int i, enum ms_type_id id, int16_t length, bool case_sensitive, bool accent_sensitive)
{
    columns[i].type =
        (struct ms_column_type){.type = ms_type_at(id), .max_length = length, .precision = 10, .scale = 2};
    columns[i].case_sensitive = case_sensitive;
    columns[i].accent_sensitive = accent_sensitive;
}

static int setup(void **state)
{
    (void)state;
    set(0, MS_INT, 4, false, false);
    set(1, MS_NVARCHAR, 2, false, true);
    set(2, MS_VARCHAR, 50, true, true);
    set(3, MS_DATETIME, 8, false, false);
    set(4, MS_BIT, 1, false, false);
    set(5, MS_DECIMAL, 9, false, false);
    set(6, MS_CHAR, 3, false, true);
    set(7, MS_UNIQUEIDENTIFIER, 16, false, false);
    set(8, MS_DATETIMEOFFSET, 10, false, false);
    set(9, MS_BINARY, 4, false, false);
    set(10, MS_INT, 4, false, false);
    set(11, MS_INT, 4, false, false);
    set(12, MS_DATE, 3, false, false);
    set(13, MS_NVARCHAR, 20, false, false);
    return 0;
}

static char *name(void *context, const struct ms_catalog_column *c)
{
    (void)context;
    return strcmp(c->name, "Gone") == 0 ? NULL : mem_strdup(c->name);
}

static const struct mssql_expression_rules rules = {.table = &table, .name = name, .target_version = 150000};

static void check(const char *text, const char *expected)
{
    struct buffer out = {0}, why = {0};
    if (!mssql_expression_condition(&rules, text, &out, &why))
        fail_msg("%s: refused: %s", text, buffer_text(&why));
    assert_string_equal(buffer_text(&out), expected);
    buffer_free(&out);
    buffer_free(&why);
}

static void refused(const char *text, const char *reason)
{
    struct buffer out = {0}, why = {0};
    if (mssql_expression_condition(&rules, text, &out, &why))
        fail_msg("%s: became %s", text, buffer_text(&out));
    assert_int_equal(out.length, 0);
    if (!strstr(buffer_text(&why), reason))
        fail_msg("%s: refused for another reason: %s", text, buffer_text(&why));
    buffer_free(&why);
}

static void value(const char *column, const char *text, const char *expected)
{
    struct buffer out = {0}, why = {0};
    if (!mssql_expression_value(&rules, ms_catalog_column(&table, column), false, text, &out, &why))
        fail_msg("%s: refused: %s", text, buffer_text(&why));
    assert_string_equal(buffer_text(&out), expected);
    buffer_free(&out);
    buffer_free(&why);
}

static void no_value(const char *column, const char *text, bool immutable)
{
    struct buffer out = {0}, why = {0};
    if (mssql_expression_value(&rules, ms_catalog_column(&table, column), immutable, text, &out, &why))
        fail_msg("%s: became %s", text, buffer_text(&out));
    assert_true(why.length > 0);
    buffer_free(&out);
    buffer_free(&why);
}

static void test_conditions(void **state)
{
    (void)state;
    check("([Age]>=(0) AND [Age]<=(150))", "(\"Age\" >= 0) AND (\"Age\" <= 150)");
    check("([Age] BETWEEN 0 AND 150)", "(\"Age\" >= 0) AND (\"Age\" <= 150)");
    check("([Age]=(1) OR [Age]=(2) AND NOT [Age]=(3))",
          "(\"Age\" = 1) OR ((\"Age\" = 2) AND (NOT (\"Age\" = 3)))");
    check("([Age] IN (1,2))", "(\"Age\" = 1) OR (\"Age\" = 2)");
    check("([Age] NOT IN (1))", "NOT (\"Age\" = 1)");
    check("([Age] IS NULL OR [Price] IS NOT NULL)", "(\"Age\" IS NULL) OR (\"Price\" IS NOT NULL)");
    check("(([Age]+[Odd]]Name])*(2)>(-5))", "((\"Age\" + \"Odd]Name\") * 2) > (-5)");
    check("([Price]!<(0.5))", "\"Price\" >= 0.5");
    check("([Active]=(1))", "\"Active\" = true");
    check("(len([Name])>(3))", "length(rtrim(\"Name\")) > 3");
    check("(isnull([Age],(0))>(0))", "coalesce(\"Age\", 0) > 0");
    check("(case when [Age]>(1) then (1) else (0) end=(1))", "CASE WHEN \"Age\" > 1 THEN 1 ELSE 0 END = 1");
    check("([Id]<>'00000000-0000-0000-0000-000000000000')",
          "\"Id\" <> UUID '00000000-0000-0000-0000-000000000000'");
}

/* Hazard: a check that is stricter than the legacy's stops a row. */
static void test_texts_are_equal_as_there(void **state)
{
    (void)state;
    check("([Sex]='M' OR [Sex]=N'f ')", "(lower(rtrim(\"Sex\")) = 'm') OR (lower(rtrim(\"Sex\")) = 'f')");
    check("([Name]='M ')", "rtrim(\"Name\") = 'M'");
    check("([Sex]='É')", "lower(rtrim(\"Sex\")) = lower(rtrim('É'))");
    check("([Sex] LIKE N'a%')", "\"Sex\" ILIKE 'a%'");
    check("([Name] NOT LIKE 'a_c')", "NOT (\"Name\" LIKE 'a_c' OR rtrim(\"Name\") LIKE 'a_c')");
    check("([Name] LIKE 'a_')", "(\"Name\" LIKE 'a_' OR rtrim(\"Name\") LIKE 'a_')");
    check("([Name] LIKE '50!%%' ESCAPE '!')", "\"Name\" LIKE '50!%%' ESCAPE '!'");
    check("([Name] LIKE 'a\\b%')", "\"Name\" LIKE E'a\\\\b%' ESCAPE ''");
    refused("([Name] LIKE '[a-z]%')", "classes");
    refused("([Name]>'a')", "order of texts");
    refused("([Vague]='e')", "accents");
    refused("([Name] LIKE 'a ')", "blanks");
}

static void test_times(void **state)
{
    (void)state;
    check("([Born]>='19000101')", "\"Born\" >= TIMESTAMP '1900-01-01 00:00:00'");
    check("([Born]<'2000-02-29T10:00:00.5')", "\"Born\" < TIMESTAMP '2000-02-29 10:00:00.5'");
    check("([Seen]>'2001-01-01')", "\"Seen\" > DATE '2001-01-01'");
    check("(datepart(year,[Born])>(1999))", "CAST(extract(year FROM \"Born\") AS integer) > 1999");
    check("([Born]>=CONVERT([datetime],'2000-01-01',(120)))", "\"Born\" >= TIMESTAMP '2000-01-01 00:00:00'");
    refused("([Born]>'01/02/2000')", "every setting");
    refused("([Born]>'20010229')", "every setting");
    refused("([Born]<=getdate())", "present time");
    refused("(dateadd(day,(1),[Born])>'20000101')", "not translated");
}

static void test_refusals(void **state)
{
    (void)state;
    refused("([dbo].[f]([Age])=(1))", "own function");
    refused("([Gone]>(0))", "not on the target");
    refused("([Nowhere]>(0))", "no column");
    refused("([Age])", "no condition");
    refused("([Age]>(0)", "expected");
    refused("([Age]>(0)) extra", "not understood");
    refused("(isjson([Name])=(1))", "isjson");
    refused("([Name]=(5))", "converted");
    refused("([Age]=NULL)", "never true");
    refused("([Active]=[Age])", "different types");
    refused("('unended", "not translated");
    char deep[2048];
    memset(deep, '(', sizeof(deep) - 1);
    deep[sizeof(deep) - 1] = '\0';
    refused(deep, "too deeply");
}

/* What an unfriendly catalog could hold must end soon. */
static void test_sizes(void **state)
{
    (void)state;
    struct buffer text = {0};
    for (int i = 0; i < 60; i++)
        buffer_puts(&text, "iif(");
    buffer_puts(&text, "[Age]");
    for (int i = 0; i < 60; i++)
        buffer_puts(&text, " between 0 and 1,1,0)");
    buffer_puts(&text, "=1");
    refused(buffer_text(&text), "too long");
    buffer_clear(&text);
    for (int i = 0; i < 150; i++)
        buffer_puts(&text, "case when ");
    refused(buffer_text(&text), "");
    buffer_clear(&text);
    for (int i = 0; i < 5000; i++)
        buffer_puts(&text, "case when ");
    refused(buffer_text(&text), "too long");
    buffer_clear(&text);
    buffer_puts(&text, "[Age]=0");
    for (int i = 0; i < 1000; i++)
        buffer_puts(&text, " or [Age]=1");
    struct buffer out = {0}, why = {0};
    assert_true(mssql_expression_condition(&rules, buffer_text(&text), &out, &why));
    buffer_free(&out);
    buffer_free(&why);
    buffer_free(&text);
}

static void test_defaults(void **state)
{
    (void)state;
    value("Age", "((0))", "0");
    value("Age", "((-1))", "-1");
    value("Age", "('7')", "7");
    value("Active", "((1))", "true");
    value("Active", "(CONVERT([bit],(0)))", "false");
    value("Name", "(N'it''s')", "'it''s'");
    value("Name", "('')", "''");
    value("Name", "((5))", "'5'");
    value("Born", "(getdate())", "LOCALTIMESTAMP");
    value("Born", "(getutcdate())", "(now() AT TIME ZONE 'UTC')");
    value("Born", "((0))", "TIMESTAMP '1900-01-01 00:00:00'");
    value("Born", "('')", "TIMESTAMP '1900-01-01 00:00:00'");
    value("Born", "((36525))", "TIMESTAMP '2000-01-02 00:00:00'");
    value("Seen", "(getdate())", "CAST(LOCALTIMESTAMP AS date)");
    value("Seen", "(CONVERT([date],getdate()))", "CAST(LOCALTIMESTAMP AS date)");
    value("At", "(sysdatetimeoffset())", "now()");
    value("Id", "(newsequentialid())", "gen_random_uuid()");
    value("Id", "(newid())", "gen_random_uuid()");
    value("Raw", "(0x01)", "'\\x01000000'::bytea");
    value("Price", "((1.50))", "1.50");
    value("Price", "(($0.5))", "0.5");
    value("Price", "(CONVERT([decimal](10,2),(0)))", "CAST(0 AS numeric(10,2))");
    value("Age", "(NULL)", "NULL");
    no_value("Name", "(suser_sname())", false);
    no_value("Age", "(NEXT VALUE FOR [dbo].[s])", false);
    no_value("Age", "('abc')", false);
    no_value("Born", "(getdate())", true);
    no_value("Age", "([Age]>(1))", false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conditions), cmocka_unit_test(test_texts_are_equal_as_there),
        cmocka_unit_test(test_times),      cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_sizes),      cmocka_unit_test(test_defaults)};
    return cmocka_run_group_tests(tests, setup, NULL);
}
