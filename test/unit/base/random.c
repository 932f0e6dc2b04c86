/* SPDX-License-Identifier: Apache-2.0 */

#include "base/random.h"

#include "check.h"

/* From the state 1, 2, 3, 4, by the authors' definition. */
TEST(the_sequence_is_that_of_the_paper)
{
    struct random random = { { 1, 2, 3, 4 } };
    CHECK(random_next(&random) == 41943041u);
    CHECK(random_next(&random) == 58720359u);
    CHECK(random_next(&random) == 3588806011781223u);
    CHECK(random_next(&random) == 3591011842654386u);
}

TEST(two_generators_tell_different_numbers)
{
    struct random a, b;
    random_init(&a);
    random_init(&b);
    CHECK(random_next(&a) != random_next(&b));
    CHECK(random_next(&a) != random_next(&a));
}
