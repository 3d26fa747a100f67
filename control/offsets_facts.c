/* SPDX-License-Identifier: PostgreSQL */
#include "control/offsets_facts.h"

#include <stdio.h>

struct position offsets_lowest(const struct offsets_facts *f)
{
    struct position low = f->lane_count ? f->lanes[0].position : (struct position){0};
    for (int i = 1; i < f->lane_count; i++) {
        if (position_compare(f->lanes[i].position, low) < 0)
            low = f->lanes[i].position;
    }
    return low;
}

const char *offsets_decision_name(enum offsets_decision decision)
{
    static const char *const names[] = {"first", "resume", "standby", "wait", "refuse"};
    return names[decision];
}

/* What the source's side contradicts, or nothing. */
static bool contradicts(const struct offsets_facts *f, struct buffer *words)
{
    struct error err = {0};
    char at[POSITION_TEXT_SIZE], confirmed[POSITION_TEXT_SIZE];
    struct position low = offsets_lowest(f);
    if (f->other_engine) {
        if (f->contradiction[0])
            buffer_printf(words, "refuse, exit 4: %s", f->contradiction);
        return words->length > 0;
    }
    if (!pgsql_fingerprint_compare(&f->stored, &f->now, &err))
        buffer_printf(words, "refuse, exit 4: %s", err.text);
    else if (!f->slot.exists)
        buffer_printf(words, "refuse, exit 4: slot \"%s\" is gone, and the changes after %s with it",
                      f->stored.slot, position_format(low, at));
    else if (f->slot.lost)
        buffer_printf(words,
                      "refuse, exit 4: slot \"%s\" has lost WAL that it needs (max_slot_wal_keep_size)",
                      f->stored.slot);
    else if (low.kind != POSITION_NONE && position_compare(f->slot.confirmed, low) > 0)
        buffer_printf(
            words,
            "refuse, exit 4: the slot is confirmed up to %s, the %s holds changes up to %s only: it has "
            "lost its tail, or the slot was made anew",
            position_format(f->slot.confirmed, confirmed), f->reverse ? "legacy side" : "target",
            position_format(low, at));
    return words->length > 0;
}

enum offsets_decision offsets_decide(const struct offsets_facts *f, struct buffer *words)
{
    char at[POSITION_TEXT_SIZE];
    struct position low = offsets_lowest(f);
    if (f->source_error[0]) {
        buffer_printf(words, "wait and try again: %s", f->source_error);
        return OFFSETS_WAIT;
    }
    if (!f->has_stored) {
        buffer_puts(words, f->other_engine ? "begin: wait for a marker to be captured, then copy"
                           : f->reverse ? "begin: make publication and slot in the target, then stream back"
                                        : "begin: make publication and slot, then copy");
        return OFFSETS_FIRST;
    }
    if (contradicts(f, words))
        return OFFSETS_REFUSE;
    if (low.kind == POSITION_NONE)
        low = f->other_engine ? f->start : f->stored.slot_start;
    if (f->holder[0]) {
        buffer_printf(words, "stand by: %s runs this pipeline under epoch %lld; after it, resume at %s",
                      f->holder, (long long)f->epoch, position_format(low, at));
        return OFFSETS_STANDBY;
    }
    buffer_printf(words, "resume at %s", position_format(low, at));
    if (!f->other_engine && f->now.timeline > f->stored.timeline)
        buffer_printf(
            words,
            ", if the source left timeline %u at or after it (the source is on timeline %u now: it was "
            "failed over)",
            f->stored.timeline, f->now.timeline);
    return OFFSETS_RESUME;
}
