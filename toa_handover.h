/* SPDX-License-Identifier: GPL-2.0 */
#ifndef TOA_HANDOVER_H
#define TOA_HANDOVER_H

int toa_handover_init(void);
void toa_handover_exit(void);

#endif /* TOA_HANDOVER_H */
