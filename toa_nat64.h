/* SPDX-License-Identifier: GPL-2.0 */
#ifndef TOA_NAT64_H
#define TOA_NAT64_H

int toa_nat64_init(void);
void toa_nat64_exit(void);

#endif /* TOA_NAT64_H */
