/* SPDX-License-Identifier: PostgreSQL
 *
 * crossfade-replicator: options, configuration, then the service.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "legacy/legacy.h"
#include "replicator/report.h"
#include "replicator/service.h"

static const struct option_help {
    struct option option;
    const char *argument;
    const char *help;
} options[] = {
    {{"config", required_argument, NULL, 'c'}, "FILE", "the pipeline's configuration"},
    {{"until-caught-up", no_argument, NULL, 'u'},
     NULL,
     "copy, catch up with the source, then end with status 0"},
    {{"check-config", no_argument, NULL, 'k'},
     NULL,
     "read the configuration, tell what is wrong with it, and end"},
    {{"help-config", no_argument, NULL, 'o'}, NULL, "list every configuration key"},
    {{"help-metrics", no_argument, NULL, 'm'}, NULL, "list every metric"},
    {{"help", no_argument, NULL, 'h'}, NULL, "this text"},
    {{"version", no_argument, NULL, 'V'}, NULL, "the version"},
};

enum { OPTIONS = sizeof(options) / sizeof(options[0]) };

struct arguments {
    const char *config;
    bool until_caught_up;
    bool check_config;
};

static void usage(FILE *out)
{
    fputs("usage: crossfade-replicator -c FILE [--until-caught-up]\n\n", out);
    for (int i = 0; i < OPTIONS; i++) {
        char name[64];
        bool has_short = strchr("chV", options[i].option.val) != NULL;
        snprintf(name, sizeof(name), "%s%c%s --%s%s%s", has_short ? "-" : " ",
                 has_short ? options[i].option.val : ' ', has_short ? "," : " ", options[i].option.name,
                 options[i].argument ? " " : "", options[i].argument ? options[i].argument : "");
        fprintf(out, "  %-28s %s\n", name, options[i].help);
    }
}

static int print(void (*describe)(struct buffer *))
{
    struct buffer text = {0};
    describe(&text);
    fputs(buffer_text(&text), stdout);
    buffer_free(&text);
    return 0;
}

/* -1: go on; else the exit status. */
static int parse(int argc, char **argv, struct arguments *out)
{
    struct option list[OPTIONS + 1] = {0};
    int c;
    for (int i = 0; i < OPTIONS; i++)
        list[i] = options[i].option;
    while ((c = getopt_long(argc, argv, "c:hV", list, NULL)) != -1) {
        switch (c) {
        case 'c':
            out->config = optarg;
            break;
        case 'u':
            out->until_caught_up = true;
            break;
        case 'k':
            out->check_config = true;
            break;
        case 'o':
            return print(config_describe);
        case 'm':
            return print(report_metric_names);
        case 'h':
            usage(stdout);
            return 0;
        case 'V':
            puts("crossfade-replicator " PACKAGE_VERSION);
            return 0;
        default:
            usage(stderr);
            return 2;
        }
    }
    if (optind == argc && out->config)
        return -1;
    fprintf(stderr, "crossfade-replicator: %s%s\n",
            optind < argc ? "unexpected argument " : "-c FILE is missing", optind < argc ? argv[optind] : "");
    usage(stderr);
    return 2;
}

int main(int argc, char **argv)
{
    struct arguments args = {0};
    struct config *config = NULL;
    struct buffer problems = {0};
    struct error err = {0};
    int status = parse(argc, argv, &args);
    if (status >= 0)
        return status;
    if (!config_read(args.config, &config, &problems, &err)) {
        fputs(problems.length ? buffer_text(&problems) : err.text, stderr);
        if (!problems.length)
            fputc('\n', stderr);
        buffer_free(&problems);
        return error_exit_status(err.kind);
    }
    buffer_free(&problems);
    if (!args.check_config) {
        struct log *log = log_new(config->log_format, config->log_level, config->pipeline);
        struct service_options o = {.config = config, .log = log, .until_caught_up = args.until_caught_up};
        if (legacy_start(config, &err)) {
            status = service_run(&o);
        } else {
            log_error(log, "%s", err.text);
            status = error_exit_status(err.kind);
        }
        log_free(log);
    }
    config_free(config);
    return status < 0 ? 0 : status;
}
