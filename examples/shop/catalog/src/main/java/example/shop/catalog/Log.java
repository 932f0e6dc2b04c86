// SPDX-License-Identifier: Apache-2.0
package example.shop.catalog;

import java.time.LocalDateTime;
import java.time.format.DateTimeFormatter;

/** One line per event on standard error. */
final class Log {
    private static final DateTimeFormatter TIME =
            DateTimeFormatter.ofPattern("yyyy/MM/dd HH:mm:ss.SSSSSS");

    private Log() {}

    static void line(String text) {
        System.err.println("catalog " + LocalDateTime.now().format(TIME) + " " + text);
    }

    /** A value from outside, quoted so that a log line stays one line. */
    static String quoted(String value) {
        return '"' + value.replaceAll("[\\p{Cntrl}\"\\\\]", "?") + '"';
    }
}
