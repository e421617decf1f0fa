/* SPDX-License-Identifier: GPL-2.0 */
/* The parts of the program handover. */
#ifndef HANDOVER_PARTS_H
#define HANDOVER_PARTS_H

/* handover_texts.c: what may be written to the file */
void torn(const void *arg);
void in_pieces(const void *arg);
void each_byte(const void *arg);
void wrong_fields(const void *arg);
void wrong_frames(const void *arg);
void one_twice(const void *arg);
void stale(const void *arg);
void no_room(const void *arg);
void from_the_middle(const void *arg);
void write_waits(const void *arg);
void unloaded_waiting(const void *arg);

/* handover_many.c: many connections, and many who ask */
void asked_by_many(const void *arg);
void under_traffic(const void *arg);
void by_toactl(const void *arg);
extern int many;

#endif /* HANDOVER_PARTS_H */
