// SPDX-License-Identifier: Apache-2.0
package example.shop.catalog;

import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.List;

/** The members of the W3C header {@code baggage}; several lines are one list. */
record Baggage(String text) {
    static Baggage of(List<String> lines) {
        return new Baggage(lines == null ? "" : String.join(",", lines));
    }

    /** One value, "" when it is not there. */
    String member(String name) {
        for (String member : text.split(",")) {
            String pair = member.split(";", 2)[0]; // properties follow the pair
            int equals = pair.indexOf('=');
            if (equals > 0 && pair.substring(0, equals).strip().equals(name))
                return decoded(pair.substring(equals + 1).strip());
        }
        return "";
    }

    private static String decoded(String value) {
        try {
            // URLDecoder is for forms: it would make a space of a plus.
            return URLDecoder.decode(value.replace("+", "%2B"), StandardCharsets.UTF_8);
        } catch (IllegalArgumentException malformed) {
            return "";
        }
    }
}
