/* SPDX-License-Identifier: PostgreSQL
 *
 * check and schema are programs of their own size (check.c, schema.c); here is how the command line calls
 * them.
 */
#include <string.h>

#include "control/check.h"
#include "control/command.h"
#include "control/schema.h"

int command_check(const struct context *context)
{
    return check_command(context->config, context->options.data, context->options.json, context->out);
}

int command_schema(const struct context *context)
{
    const char *section = context->options.section;
    if (section && strcmp(section, "pre") != 0 && strcmp(section, "post") != 0)
        return command_usage("--section is pre or post");
    return schema_command(context->config, section, context->out);
}
