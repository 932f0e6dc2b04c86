/* SPDX-License-Identifier: Apache-2.0 */

#include "api/call.h"

json_t *api_json_time(unix_msec time)
{
    if (!time)
        return json_null();
    char text[TIME_TEXT_MAX];
    time_format(time, text);
    return json_string(text);
}

json_t *api_json_duration(nsec duration)
{
    if (!duration)
        return json_null();
    char text[TIME_TEXT_MAX];
    duration_format(duration, text);
    return json_string(text);
}

json_t *api_json_span(struct span span)
{
    return json_stringn(span.data ? span.data : "", span.size);
}
