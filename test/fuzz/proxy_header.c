/* SPDX-License-Identifier: Apache-2.0 */

/* A header of the PROXY protocol. What is told of a client lies in the header, and a header that is
 * cut short, or has a byte behind it, is refused. */

#include "codec/proxy_header.h"

#include "property.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = copy_of(input_of(data, size));
    struct proxy_header header;
    size_t wanted = 0;
    bool has_size = proxy_header_size(input, &wanted) == PROXY_OK;
    PROPERTY(!has_size || (wanted >= PROXY_HEADER_START && wanted <= PROXY_HEADER_MAX));
    if (!has_size || wanted > input.size) {
        PROPERTY(proxy_header_decode(input, &header) == PROXY_BAD);
    } else if (proxy_header_decode(span_first(input, wanted), &header) == PROXY_OK) {
        size_t n = header.family == PROXY_IPV4 ? 4 : header.family == PROXY_IPV6 ? 16 : 0;
        PROPERTY(header.source.size == n);
        PROPERTY(n == 0 || (header.source.data >= input.data &&
                            header.source.data + n <= input.data + wanted));
        PROPERTY(proxy_header_decode(span_first(input, wanted - 1), &header) == PROXY_BAD);
        PROPERTY(wanted == input.size || proxy_header_decode(input, &header) == PROXY_BAD);
    }
    free_copy(input);
    return 0;
}
