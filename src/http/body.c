/* SPDX-License-Identifier: Apache-2.0 */

#include "http/body.h"

int http_body_decode(struct http_body *body, struct span *bytes, struct span *ret_data)
{
    if (body->framing == HTTP_BODY_CHUNKED)
        return http1_chunked_decode(&body->chunked, bytes, ret_data);
    if (http_body_is_empty(body))
        return HTTP1_CHUNK_END;
    if (bytes->size == 0)
        return HTTP1_CHUNK_MORE;

    bool has_length = body->framing == HTTP_BODY_LENGTH;
    *ret_data =
        has_length && body->left < bytes->size ? span_first(*bytes, (size_t)body->left) : *bytes;
    *bytes = span_from(*bytes, ret_data->size);
    if (has_length)
        body->left -= ret_data->size;
    return HTTP1_CHUNK_DATA;
}
