/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc32c.h"

uint32_t smq_crc32c(uint32_t crc, smq_span s)
{
    /* The sums of the sixteen nibbles, reflected polynomial 0x82F63B78. */
    static const uint32_t nibble[16] = {0x00000000, 0x105EC76F, 0x20BD8EDE, 0x30E349B1, 0x417B1DBC, 0x5125DAD3,
                                        0x61C69362, 0x7198540D, 0x82F63B78, 0x92A8FC17, 0xA24BB5A6, 0xB21572C9,
                                        0xC38D26C4, 0xD3D3E1AB, 0xE330A81A, 0xF36E6F75};
    crc = ~crc;
    for (size_t i = 0; i < s.len; i++) {
        crc ^= s.data[i];
        crc = (crc >> 4) ^ nibble[crc & 15];
        crc = (crc >> 4) ^ nibble[crc & 15];
    }
    return ~crc;
}
