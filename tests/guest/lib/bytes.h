/* SPDX-License-Identifier: GPL-2.0 */
/* Two clients of each family, as the bytes of options: port, address; and how they are shown. */
#ifndef TEST_BYTES_H
#define TEST_BYTES_H

/* 198.51.100.7:4321 and 203.0.113.9:1234 */
#define A4 0x10, 0xe1, 198, 51, 100, 7
#define B4 0x04, 0xd2, 203, 0, 113, 9
/* [2001:db8::77]:8765 and [2001:db8::99]:1234 */
#define A6 0x22, 0x3d, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x77
#define B6 0x04, 0xd2, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x99
#define A4_TEXT "198.51.100.7:4321"
#define B4_TEXT "203.0.113.9:1234"
#define A6_TEXT "[2001:db8::77]:8765"
#define B6_TEXT "[2001:db8::99]:1234"

#endif /* TEST_BYTES_H */
