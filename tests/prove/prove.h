/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the proofs share. CBMC reads them; nothing here is ever run.
 */
#ifndef TOA_PROVE_H
#define TOA_PROVE_H

/* Functions without a body: each call is any value; CBMC knows them by their names. */
unsigned char nondet_byte(void);
unsigned int nondet_int(void);
unsigned long long nondet_long(void);

void __CPROVER_assume(_Bool condition);
void __CPROVER_assert(_Bool condition, const char *text);

#define suppose(condition) __CPROVER_assume(condition)
#define prove(condition) __CPROVER_assert(condition, #condition)

#endif /* TOA_PROVE_H */
