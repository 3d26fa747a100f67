/* SPDX-License-Identifier: PostgreSQL
 *
 * Asks the replicator on this host, which knows rates and lag; if it does not answer or only stands by, what
 * is stored in the target is the answer. Both give one document, which is printed as it is or as a table.
 */
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/command.h"
#include "control/http_get.h"
#include "control/status_sql.h"

static const cJSON *get(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

/* A text or number for people, "-" for null. 64-bit numbers come as strings. */
static const char *show(const cJSON *object, const char *name, char out[64])
{
    const cJSON *item = get(object, name);
    if (cJSON_IsString(item) && item->valuestring[0])
        return item->valuestring;
    snprintf(out, 64, cJSON_IsNumber(item) ? "%.0f" : "-", cJSON_IsNumber(item) ? item->valuedouble : 0.0);
    return out;
}

static double number(const cJSON *object, const char *name)
{
    const cJSON *item = get(object, name);
    if (cJSON_IsString(item) && item->valuestring[0])
        return strtod(item->valuestring, NULL);
    return cJSON_IsNumber(item) ? item->valuedouble : -1;
}

static cJSON *from_http(const struct config *config)
{
    struct buffer body = {0};
    cJSON *json = NULL;
    char text[64];
    if (config->http_listen && http_get(config->http_listen, "/status", &body))
        json = cJSON_Parse(buffer_text(&body));
    buffer_free(&body);
    /* Another pipeline's replicator may listen there; a standby knows less than the target does. */
    if (json && strcmp(show(json, "pipeline", text), config->pipeline) == 0 &&
        strcmp(show(json, "role", text), "active") == 0)
        return json;
    cJSON_Delete(json);
    return NULL;
}

static void print_head(const cJSON *json, FILE *out)
{
    char a[64], b[64], c[64], d[64], e[64];
    bool phase = cJSON_IsString(get(json, "phase"));
    fprintf(out, "pipeline %s: %s%s%s, epoch %s%s%s\n", show(json, "pipeline", a),
            cJSON_IsNull(get(json, "role")) ? "not running" : show(json, "role", b), phase ? ", " : "",
            phase ? show(json, "phase", c) : "", show(json, "epoch", d),
            cJSON_IsTrue(get(json, "paused")) ? ", paused" : "",
            cJSON_IsTrue(get(json, "degraded")) ? ", degraded: the mirror in Redis is stale" : "");
    const cJSON *streams = get(json, "streams");
    for (const cJSON *s = streams ? streams->child : NULL; s; s = s->next)
        fprintf(out, "stream %s: applied %s, confirmed %s, lag %s bytes, %s ms\n", show(s, "name", a),
                show(s, "applied", b), show(s, "confirmed", c), show(s, "lag_bytes", d),
                show(s, "lag_ms", e));
    const cJSON *error = get(json, "last_error");
    if (cJSON_IsString(error) && error->valuestring[0])
        fprintf(out, "last error: %s\n", error->valuestring);
}

static const char *show_percent(const cJSON *table, char out[64])
{
    double copied = number(table, "rows_copied"), total = number(table, "rows_total");
    double percent = total > 0 ? 100 * copied / total : 0; /* the total is an estimate */
    snprintf(out, 64, copied >= 0 && total > 0 ? "%.0f%%" : "-", percent > 100 ? 100 : percent);
    return out;
}

static void print_table(const cJSON *table, FILE *out)
{
    char a[64], b[64], c[64], d[64], e[64], f[64], g[64], h[64], i[64], j[64], k[64];
    fprintf(out, "  %-32s %-15s %-9s %12s %12s %5s %10s %7s %8s %8s %9s\n", show(table, "from", a),
            show(table, "capture", k), show(table, "state", b), show(table, "rows_copied", c),
            show(table, "rows_total", d), show_percent(table, e), show(table, "rate_rows_s", f),
            show(table, "eta_s", g), show(table, "parked", h), show(table, "quarantined", i),
            show(table, "conflicts", j));
    static const char *const texts[] = {"reason", "conflict_sample"};
    for (size_t n = 0; n < sizeof(texts) / sizeof(texts[0]); n++) {
        const cJSON *text = get(table, texts[n]);
        if (cJSON_IsString(text) && text->valuestring[0])
            fprintf(out, "    %s\n", text->valuestring);
    }
}

static void print_status(const cJSON *json, FILE *out)
{
    char name[64], state[64], live[64];
    const cJSON *groups = get(json, "groups");
    print_head(json, out);
    for (const cJSON *g = groups ? groups->child : NULL; g; g = g->next) {
        const cJSON *tables = get(g, "tables");
        fprintf(out, "\ngroup %s: %s, live side %s%s\n", show(g, "name", name), show(g, "state", state),
                show(g, "live", live), cJSON_IsTrue(get(g, "frozen")) ? ", frozen" : "");
        fprintf(out, "  %-32s %-15s %-9s %12s %12s %5s %10s %7s %8s %8s %9s\n", "table", "capture", "state",
                "copied", "of about", "", "rows/s", "ETA s", "parked", "quarant.", "conflicts");
        for (const cJSON *t = tables ? tables->child : NULL; t; t = t->next)
            print_table(t, out);
    }
    if (!groups || !groups->child)
        fputs("\nno table yet: the replicator has not been started\n", out);
}

static int show_once(const struct context *context)
{
    struct error err = {0};
    cJSON *json = from_http(context->config);
    if (!json && !status_sql(context->config, &json, &err))
        return command_fail(&err);
    if (context->options.watch && !context->options.json && isatty(STDOUT_FILENO))
        fputs("\033[H\033[2J", context->out);
    if (context->options.json) {
        char *text = context->options.watch ? cJSON_PrintUnformatted(json) : cJSON_Print(json);
        fprintf(context->out, "%s\n", text);
        cJSON_free(text);
    } else {
        print_status(json, context->out);
    }
    cJSON_Delete(json);
    return EXIT_GOOD;
}

int command_status(const struct context *context)
{
    int status = show_once(context);
    while (context->options.watch) {
        /* A server that is away for a moment does not end the watch; a broken pipe does. */
        if (fflush(context->out) != 0)
            return EXIT_GOOD;
        (void)nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
        status = show_once(context);
    }
    return status;
}
