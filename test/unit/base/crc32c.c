/* SPDX-License-Identifier: Apache-2.0 */

#include "base/crc32c.h"

#include "check.h"

TEST(the_check_value_is_that_of_crc32c)
{
    CHECK_INT(crc32c(0, SPAN("123456789")), 0xe3069283);
    CHECK_INT(crc32c(crc32c(0, SPAN("1234")), SPAN("56789")), 0xe3069283);
    CHECK_INT(crc32c(0, SPAN("")), 0);
}
