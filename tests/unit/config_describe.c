/* SPDX-License-Identifier: PostgreSQL
 *
 * Prints the option table, or checks configs named on the command line; for tests/check_man_config.sh.
 */
#include <stdio.h>

#include "model/config.h"

int main(int argc, char **argv)
{
    struct buffer out = {0};
    int status = 0;
    if (argc < 2)
        config_describe(&out);
    for (int i = 1; i < argc; i++) {
        struct config *config;
        struct error err;
        if (!config_read(argv[i], &config, &out, &err))
            status = 1;
        config_free(config);
    }
    fputs(buffer_text(&out), stdout);
    buffer_free(&out);
    return status;
}
