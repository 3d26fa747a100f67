/* SPDX-License-Identifier: PostgreSQL
 *
 * Prints the table of captures as crossfade-capture(7) has it: tests/check_man_capture.sh compares the two,
 * and whoever changes the table pastes this output between the page's two marks.
 */
#include <stdio.h>

#include "base/buffer.h"
#include "model/capture.h"

int main(void)
{
    struct buffer out = {0};
    capture_describe(&out);
    fputs(buffer_text(&out), stdout);
    buffer_free(&out);
    return 0;
}
