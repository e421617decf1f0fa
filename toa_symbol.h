/* SPDX-License-Identifier: GPL-2.0 */
#ifndef TOA_SYMBOL_H
#define TOA_SYMBOL_H

int toa_symbol_address(const char *symbol, unsigned long *address);
const char *toa_symbol_other_toa(void);

#endif /* TOA_SYMBOL_H */
