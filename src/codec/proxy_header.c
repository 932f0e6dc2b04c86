/* SPDX-License-Identifier: Apache-2.0 */

#include "codec/proxy_header.h"

#include <string.h>

#include "base/crc32c.h"

#define VERSION_2 0x20u
#define COMMAND_LOCAL 0u
#define COMMAND_PROXY 1u
#define FAMILY_INET 1u
#define FAMILY_INET6 2u
#define FAMILY_UNIX 3u
#define TRANSPORT_STREAM 1u
#define TLV_CRC32C 3u
#define TLV_HEAD 3u /* its type, and its size in two bytes */
#define CRC_SIZE 4u

static const char signature[12] = "\r\n\r\n\0\r\nQUIT\n";

/* Both addresses and both ports, by family. */
#define INET_SIZE (2u * 4 + 2 * 2)
#define INET6_SIZE (2u * 16 + 2 * 2)
#define UNIX_SIZE ((size_t)2 * 108)

static unsigned byte_at(struct span bytes, size_t at)
{
    return (uint8_t)bytes.data[at];
}

static unsigned uint16_at(struct span bytes, size_t at)
{
    return byte_at(bytes, at) << 8 | byte_at(bytes, at + 1);
}

int proxy_header_size(struct span start, size_t *ret_size)
{
    if (start.size < PROXY_HEADER_START || memcmp(start.data, signature, sizeof(signature)) != 0)
        return PROXY_BAD;
    unsigned command = byte_at(start, 12) ^ VERSION_2;
    size_t size = PROXY_HEADER_START + uint16_at(start, 14);
    if (command > COMMAND_PROXY || size > PROXY_HEADER_MAX)
        return PROXY_BAD;
    *ret_size = size;
    return PROXY_OK;
}

/* The checksum is of the header with zeros in its own place (section 2.2.4). */
static bool is_intact(struct span header, size_t at)
{
    static const char zeros[CRC_SIZE] = { 0 };
    uint32_t told = (uint32_t)uint16_at(header, at) << 16 | uint16_at(header, at + 2);
    uint32_t crc = crc32c(0, span_first(header, at));
    crc = crc32c(crc, (struct span){ zeros, sizeof(zeros) });
    return crc32c(crc, span_from(header, at + CRC_SIZE)) == told;
}

/* Whether what follows the addresses is well formed, and says nothing that is not so. */
static bool are_tlvs_good(struct span header, size_t at)
{
    while (at < header.size) {
        if (header.size - at < TLV_HEAD)
            return false;
        unsigned type = byte_at(header, at);
        size_t size = uint16_at(header, at + 1);
        at += TLV_HEAD;
        if (size > header.size - at)
            return false;
        if (type == TLV_CRC32C && (size != CRC_SIZE || !is_intact(header, at)))
            return false;
        at += size;
    }
    return true;
}

static void take_source(struct span header, size_t size, size_t port_at, struct proxy_header *ret)
{
    ret->source = span_first(span_from(header, PROXY_HEADER_START), size);
    ret->source_port = (uint16_t)uint16_at(header, port_at);
}

int proxy_header_decode(struct span header, struct proxy_header *ret_header)
{
    size_t size = 0;
    if (proxy_header_size(header, &size) || size != header.size)
        return PROXY_BAD;

    /* What a family that we do not know puts here we cannot read past; section 2.2 has it skipped. */
    struct proxy_header read = { .family = PROXY_NOBODY };
    unsigned family = byte_at(header, 13) >> 4, transport = byte_at(header, 13) & 15;
    bool is_told = (byte_at(header, 12) ^ VERSION_2) == COMMAND_PROXY;
    bool is_known = transport == TRANSPORT_STREAM && family >= FAMILY_INET && family <= FAMILY_UNIX;
    if (!is_told || !is_known) {
        *ret_header = read;
        return PROXY_OK;
    }
    static const size_t sizes[] = {
        [FAMILY_INET] = INET_SIZE, [FAMILY_INET6] = INET6_SIZE, [FAMILY_UNIX] = UNIX_SIZE
    };
    size_t end = PROXY_HEADER_START + sizes[family];
    if (header.size < end || !are_tlvs_good(header, end))
        return PROXY_BAD;
    if (family == FAMILY_INET) {
        read.family = PROXY_IPV4;
        take_source(header, 4, end - 4, &read);
    } else if (family == FAMILY_INET6) {
        read.family = PROXY_IPV6;
        take_source(header, 16, end - 4, &read);
    } else {
        read.family = PROXY_UNIX;
    }
    *ret_header = read;
    return PROXY_OK;
}
