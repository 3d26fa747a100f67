/* SPDX-License-Identifier: PostgreSQL
 *
 * crossfade, the operator's command line: finds the command in one table, parses the options that the table
 * allows it, reads the config, runs it. Nothing here talks to a server.
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "control/command.h"
#include "legacy/legacy.h"

static const struct command commands[] = {
    {"check",
     "",
     "look before the first start: rights, settings, keys, types, sizes",
     {"data", "json"},
     0,
     0,
     command_check},
    {"schema", "", "print DDL for the tables that the target lacks", {"section"}, 0, 0, command_schema},
    {"install", "", "create our own schema in the target, or print it", {"print"}, 0, 0, command_install},
    {"status", "", "what each group and table is doing", {"json", "watch"}, 0, 0, command_status},
    {"pause", "", "hold everything, a group or a table", {"group", "table"}, 0, 0, command_pause},
    {"resume", "", "go on, also from drift and stopped", {"group", "table"}, 0, 0, command_resume},
    {"recopy", "", "copy one table again while the others stream", {"table"}, 0, 0, command_recopy},
    {"offsets",
     "",
     "all positions side by side, and what a start would decide",
     {"json"},
     0,
     0,
     command_offsets},
    {"quarantine",
     "list | show ID | retry ID... | skip ID...",
     "rows that the target refused",
     {"json"},
     1,
     1000000,
     command_quarantine},
    {"finish",
     "",
     "drop slot, publication and rows of this pipeline",
     {"yes", "discard"},
     0,
     0,
     command_finish},
    /* Announced, so that nobody takes the refusal for a misspelling. */
    {"cutover", NULL, NULL, {NULL}, 0, 0, NULL},
    {"rollback", NULL, NULL, {NULL}, 0, 0, NULL},
    {"why", NULL, NULL, {NULL}, 0, 0, NULL},
};
enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

struct option_help {
    const char *name;
    const char *argument; /* NULL: none */
    const char *help;
};

static const struct option_help option_helps[] = {
    {"config", "FILE", "the pipeline's configuration (or -c FILE)"},
    {"help", NULL, "this text"},
    {"data", NULL, "also scan the rows for values that the target would refuse"},
    {"json", NULL, "print JSON"},
    {"watch", NULL, "print again every second until interrupted"},
    {"group", "GROUP", "only that group"},
    {"table", "TABLE", "only that table, as the source has it: schema.name"},
    {"section", "pre|post", "only what comes before the copy, or after it"},
    {"print", NULL, "print the SQL and the grants instead of running it"},
    {"yes", NULL, "do not ask"},
    {"discard", NULL, "also when changes still wait in the target, parked or in quarantine"},
};
enum { OPTIONS = sizeof(option_helps) / sizeof(option_helps[0]) };

static const struct option_help *find_option(const char *name)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        if (strcmp(option_helps[i].name, name) == 0)
            return &option_helps[i];
    }
    return NULL;
}

static void print_option(const char *name)
{
    const struct option_help *o = find_option(name);
    char left[40];
    snprintf(left, sizeof(left), "--%s%s%s", o->name, o->argument ? " " : "", o->argument ? o->argument : "");
    printf("  %-22s %s\n", left, o->help);
}

static int print_help(void)
{
    puts("usage: crossfade COMMAND -c FILE [options]\n\ncommands:");
    for (size_t i = 0; i < COMMANDS; i++) {
        if (commands[i].run)
            printf("  %-12s %s\n", commands[i].name, commands[i].help);
    }
    puts("\n  crossfade COMMAND --help   options of a command\n  crossfade --version");
    return EXIT_GOOD;
}

static int print_command_help(const struct command *command)
{
    printf("usage: crossfade %s -c FILE [options] %s\n%s\n\n", command->name, command->args, command->help);
    print_option("config");
    for (size_t i = 0; i < COMMAND_OPTIONS && command->options[i]; i++)
        print_option(command->options[i]);
    print_option("help");
    return EXIT_GOOD;
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

/* The options getopt_long may take for that command; val is the index in option_helps. */
static void allowed_options(const struct command *command, struct option out[COMMAND_OPTIONS + 3])
{
    const char *names[COMMAND_OPTIONS + 2] = {"config", "help"};
    memcpy(names + 2, command->options, sizeof(command->options));
    int n = 0;
    for (size_t i = 0; i < COMMAND_OPTIONS + 2 && names[i]; i++) {
        const struct option_help *o = find_option(names[i]);
        out[n++] = (struct option){o->name, o->argument ? required_argument : no_argument, NULL,
                                   256 + (int)(o - option_helps)};
    }
    out[n] = (struct option){0};
}

static void take_option(struct options *options, const char *name, const char *value)
{
    const struct {
        const char *name;
        const char **text;
        bool *flag;
    } places[] = {
        {"config", &options->config_path, NULL},
        {"group", &options->group, NULL},
        {"table", &options->table, NULL},
        {"section", &options->section, NULL},
        {"data", NULL, &options->data},
        {"json", NULL, &options->json},
        {"watch", NULL, &options->watch},
        {"print", NULL, &options->print},
        {"yes", NULL, &options->yes},
        {"discard", NULL, &options->discard},
    };
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        if (strcmp(places[i].name, name) != 0)
            continue;
        if (places[i].text)
            *places[i].text = value;
        else
            *places[i].flag = true;
    }
}

/* False: *status is the exit status. */
static bool parse_options(const struct command *command, int argc, char **argv, struct context *context,
                          int *status)
{
    struct option allowed[COMMAND_OPTIONS + 3];
    char program[] = "crossfade"; /* for getopt_long's messages */
    int c;
    argv[0] = program;
    allowed_options(command, allowed);
    while ((c = getopt_long(argc, argv, "c:h", allowed, NULL)) != -1) {
        const char *name = c == 'c'   ? "config"
                           : c == 'h' ? "help"
                           : c >= 256 ? option_helps[c - 256].name
                                      : NULL;
        if (!name) {
            *status = command_usage("see `crossfade %s --help`", command->name);
            return false;
        }
        if (strcmp(name, "help") == 0) {
            *status = print_command_help(command);
            return false;
        }
        take_option(&context->options, name, optarg);
    }
    context->args = argv + optind;
    context->arg_count = argc - optind;
    if (context->arg_count < command->min_args || context->arg_count > command->max_args)
        *status =
            command_usage("%s arguments - see `crossfade %s --help`",
                          context->arg_count < command->min_args ? "too few" : "too many", command->name);
    else if (!context->options.config_path)
        *status = command_usage("which pipeline? give its configuration with -c FILE");
    else
        return true;
    return false;
}

static int run_command(const struct command *command, struct context *context)
{
    struct buffer problems = {0};
    struct config *config = NULL;
    struct error err = {0};
    int status;
    if (config_read(context->options.config_path, &config, &problems, &err) && legacy_start(config, &err)) {
        context->config = config;
        status = command->run(context);
    } else if (problems.length) {
        fputs(buffer_text(&problems), stderr);
        status = EXIT_USAGE;
    } else {
        status = command_fail(&err);
    }
    config_free(config);
    buffer_free(&problems);
    if (fflush(stdout) != 0 || ferror(stdout))
        return command_usage("can't write the output");
    return status;
}

int main(int argc, char **argv)
{
    struct context context = {.out = stdout};
    int status;
    if (argc < 2)
        return command_usage("which command? see `crossfade --help`");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0)
        return print_help();
    if (strcmp(argv[1], "--version") == 0) {
        puts("crossfade " PACKAGE_VERSION);
        return EXIT_GOOD;
    }
    const struct command *command = find_command(argv[1]);
    if (!command)
        return command_usage("there is no command \"%s\" - see `crossfade --help`", argv[1]);
    if (!command->run)
        return command_usage("\"%s\" is not available in this version", argv[1]);
    if (!parse_options(command, argc - 1, argv + 1, &context, &status))
        return status;
    return run_command(command, &context);
}
