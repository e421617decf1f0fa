/* SPDX-License-Identifier: GPL-2.0 */
/* What any user of a host may do, with nothing but user namespaces. For forked processes. */
#ifndef USER_H
#define USER_H

#include <sys/types.h>

void user_become(uid_t uid);		/* for good; 0: stay root */
void user_namespace_new(void);

/*
 * A page of a file whose server never answers: a FUSE file system of the caller's own, which must
 * be in a user namespace of its own. When somebody waits for the page, a byte goes into @told. The
 * server is a process of the caller's group, and is killed with that. Ends the caller by
 * _exit(USER_NO_FUSE) where there is no FUSE.
 */
enum { USER_NO_FUSE = 77 };
void *user_fuse_page(int told);

#endif
