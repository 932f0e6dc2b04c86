/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The code is canonical: those of one length follow each other in the order of what they stand for,
 * and behind them those of the next length. A code of at most eight bits, which letters and digits
 * have, is found by the eight bits that begin with it; of the others the length is found first.
 */

#include "codec/hpack_huffman.h"

#include <stdint.h>

/* The byte, and above it the size of its code in bits, which is 0 where a long one begins. */
#define SHORT_CODE(byte, size) ((uint16_t)((byte) | (size) << 8))

#define CODE_5(code, byte) [(code)*8 ...(code) * 8 + 7] = SHORT_CODE(byte, 5)
#define CODE_6(code, byte) [(code)*4 ...(code) * 4 + 3] = SHORT_CODE(byte, 6)
#define CODE_7(code, byte) [(code)*2 ...(code) * 2 + 1] = SHORT_CODE(byte, 7)
#define CODE_8(code, byte) [code] = SHORT_CODE(byte, 8)

static const uint16_t short_codes[256] = {
    CODE_5(0, '0'),   CODE_5(1, '1'),   CODE_5(2, '2'),   CODE_5(3, 'a'),   CODE_5(4, 'c'),
    CODE_5(5, 'e'),   CODE_5(6, 'i'),   CODE_5(7, 'o'),   CODE_5(8, 's'),   CODE_5(9, 't'),
    CODE_6(20, ' '),  CODE_6(21, '%'),  CODE_6(22, '-'),  CODE_6(23, '.'),  CODE_6(24, '/'),
    CODE_6(25, '3'),  CODE_6(26, '4'),  CODE_6(27, '5'),  CODE_6(28, '6'),  CODE_6(29, '7'),
    CODE_6(30, '8'),  CODE_6(31, '9'),  CODE_6(32, '='),  CODE_6(33, 'A'),  CODE_6(34, '_'),
    CODE_6(35, 'b'),  CODE_6(36, 'd'),  CODE_6(37, 'f'),  CODE_6(38, 'g'),  CODE_6(39, 'h'),
    CODE_6(40, 'l'),  CODE_6(41, 'm'),  CODE_6(42, 'n'),  CODE_6(43, 'p'),  CODE_6(44, 'r'),
    CODE_6(45, 'u'),  CODE_7(92, ':'),  CODE_7(93, 'B'),  CODE_7(94, 'C'),  CODE_7(95, 'D'),
    CODE_7(96, 'E'),  CODE_7(97, 'F'),  CODE_7(98, 'G'),  CODE_7(99, 'H'),  CODE_7(100, 'I'),
    CODE_7(101, 'J'), CODE_7(102, 'K'), CODE_7(103, 'L'), CODE_7(104, 'M'), CODE_7(105, 'N'),
    CODE_7(106, 'O'), CODE_7(107, 'P'), CODE_7(108, 'Q'), CODE_7(109, 'R'), CODE_7(110, 'S'),
    CODE_7(111, 'T'), CODE_7(112, 'U'), CODE_7(113, 'V'), CODE_7(114, 'W'), CODE_7(115, 'Y'),
    CODE_7(116, 'j'), CODE_7(117, 'k'), CODE_7(118, 'q'), CODE_7(119, 'v'), CODE_7(120, 'w'),
    CODE_7(121, 'x'), CODE_7(122, 'y'), CODE_7(123, 'z'), CODE_8(248, '&'), CODE_8(249, '*'),
    CODE_8(250, ','), CODE_8(251, ';'), CODE_8(252, 'X'), CODE_8(253, 'Z'),
};

/* Where the codes of a length end among the first 32 bits, and where their bytes begin below. */
static const struct {
    uint32_t end;
    uint8_t size, first;
} long_codes[] = {
    { 0xff400000, 10, 0 },   { 0xffa00000, 11, 5 },   { 0xffc00000, 12, 8 },
    { 0xfff00000, 13, 10 },  { 0xfff80000, 14, 16 },  { 0xfffe0000, 15, 18 },
    { 0xfffe6000, 19, 21 },  { 0xfffee000, 20, 24 },  { 0xffff4800, 21, 32 },
    { 0xffffb000, 22, 45 },  { 0xffffea00, 23, 71 },  { 0xfffff600, 24, 100 },
    { 0xfffff800, 25, 112 }, { 0xfffffbc0, 26, 116 }, { 0xfffffe20, 27, 131 },
    { 0xfffffff0, 28, 150 }, { 0xffffffff, 30, 179 },
};

#define EOS 182 /* its place, behind all bytes */

static const uint8_t long_bytes[EOS] = {
    0x21, 0x22, 0x28, 0x29, 0x3f, 0x27, 0x2b, 0x7c, 0x23, 0x3e, 0x00, 0x24, 0x40, 0x5b, 0x5d, 0x7e,
    0x5e, 0x7d, 0x3c, 0x60, 0x7b, 0x5c, 0xc3, 0xd0, 0x80, 0x82, 0x83, 0xa2, 0xb8, 0xc2, 0xe0, 0xe2,
    0x99, 0xa1, 0xa7, 0xac, 0xb0, 0xb1, 0xb3, 0xd1, 0xd8, 0xd9, 0xe3, 0xe5, 0xe6, 0x81, 0x84, 0x85,
    0x86, 0x88, 0x92, 0x9a, 0x9c, 0xa0, 0xa3, 0xa4, 0xa9, 0xaa, 0xad, 0xb2, 0xb5, 0xb9, 0xba, 0xbb,
    0xbd, 0xbe, 0xc4, 0xc6, 0xe4, 0xe8, 0xe9, 0x01, 0x87, 0x89, 0x8a, 0x8b, 0x8c, 0x8d, 0x8f, 0x93,
    0x95, 0x96, 0x97, 0x98, 0x9b, 0x9d, 0x9e, 0xa5, 0xa6, 0xa8, 0xae, 0xaf, 0xb4, 0xb6, 0xb7, 0xbc,
    0xbf, 0xc5, 0xe7, 0xef, 0x09, 0x8e, 0x90, 0x91, 0x94, 0x9f, 0xab, 0xce, 0xd7, 0xe1, 0xec, 0xed,
    0xc7, 0xcf, 0xea, 0xeb, 0xc0, 0xc1, 0xc8, 0xc9, 0xca, 0xcd, 0xd2, 0xd5, 0xda, 0xdb, 0xee, 0xf0,
    0xf2, 0xf3, 0xff, 0xcb, 0xcc, 0xd3, 0xd4, 0xd6, 0xdd, 0xde, 0xdf, 0xf1, 0xf4, 0xf5, 0xf6, 0xf7,
    0xf8, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x0b, 0x0c, 0x0e,
    0x0f, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f,
    0x7f, 0xdc, 0xf9, 0x0a, 0x0d, 0x16,
};

/* Bits, the next one the highest; behind `n` they are whatever follows. */
struct bits {
    const char *at, *end;
    uint64_t window;
    unsigned n;
    bool has_word; /* there are eight bytes before the end */
};

static inline uint64_t load_word(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    return __builtin_bswap64(word);
}

/* The last bytes, and with more than eight in all as many at once. */
static inline struct bits refill_last(struct bits bits)
{
    unsigned left = (unsigned)(bits.end - bits.at), n_bytes = (63 - bits.n) / 8;
    if (n_bytes > left)
        n_bytes = left;
    if (bits.has_word && left)
        bits.window |= load_word(bits.end - 8) << (64 - 8 * left) >> bits.n;
    for (unsigned i = 0; !bits.has_word && i < n_bytes; i++)
        bits.window |= (uint64_t)(uint8_t)bits.at[i] << (56 - bits.n - 8 * i);
    bits.at += n_bytes;
    bits.n += 8 * n_bytes;
    return bits;
}

static inline struct bits refill(struct bits bits)
{
    if (unlikely(bits.end - bits.at < 8))
        return refill_last(bits);
    bits.window |= load_word(bits.at) >> bits.n;
    bits.at += (63 - bits.n) / 8;
    bits.n |= 56;
    return bits;
}

static inline struct bits drop(struct bits bits, unsigned size)
{
    bits.window <<= size;
    bits.n -= size;
    return bits;
}

/* The byte whose long code comes next, and above it the code's size; 0 when there is none. */
RARE static unsigned find_long(struct bits bits)
{
    uint32_t code = (uint32_t)(bits.window >> 32), begin = 0xfe000000;
    unsigned i = 0;
    for (; code >= long_codes[i].end && long_codes[i].size < 30; i++)
        begin = long_codes[i].end;
    unsigned size = long_codes[i].size;
    unsigned place = long_codes[i].first + ((code - begin) >> (32 - size));
    return size > bits.n || place >= EOS ? 0 : long_bytes[place] | size << 8;
}

/* Fewer than eight bits, all of them ones: the beginning of EOS (section 5.2). */
static inline bool is_padding(struct bits bits)
{
    return bits.n < 8 && bits.window >> 56 == (0xff00u >> bits.n & 0xff);
}

/* Fewer than eight bits are left, and zeros behind them. */
static char *finish(struct bits bits, char *out)
{
    while (bits.n) {
        unsigned code = short_codes[bits.window >> 56], size = code >> 8;
        if (!size || size > bits.n)
            break;
        *out++ = (char)code;
        bits = drop(bits, size);
    }
    return is_padding(bits) ? out : NULL;
}

char *hpack_huffman_decode(struct span text, char *out)
{
    struct bits bits = {
        .at = text.data,
        .end = text.data + text.size,
        .has_word = text.size >= 8,
    };
    for (bits = refill(bits); bits.n >= 8; bits = refill(bits)) {
        unsigned code = short_codes[bits.window >> 56];
        while (likely(code >> 8 && bits.n >= 8)) {
            *out++ = (char)code;
            bits = drop(bits, code >> 8);
            code = short_codes[bits.window >> 56];
        }
        if (bits.n < 8)
            continue;
        bits = refill(bits);
        code = find_long(bits);
        if (!code)
            return NULL;
        *out++ = (char)code;
        bits = drop(bits, code >> 8);
    }
    return finish(bits, out);
}
