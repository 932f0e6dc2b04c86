// SPDX-License-Identifier: Apache-2.0
package example.shop.catalog;

import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;

/** The command line: {@code --id NAME --listen HOST:PORT --sarsen URL --ttl SECONDS}. */
record Options(String id, String host, int port, String sarsen, Duration ttl) {
    private static final Set<String> NAMES = Set.of("id", "listen", "sarsen", "ttl");

    static Options parse(String[] args) {
        Map<String, String> given = new HashMap<>();
        for (int i = 0; i < args.length; i += 2) {
            String name = args[i].startsWith("--") ? args[i].substring(2) : args[i];
            if (!NAMES.contains(name) || i + 1 == args.length)
                throw new IllegalArgumentException(
                        args[i] + ": accepted are --id, --listen, --sarsen, --ttl, each with a value");
            given.put(name, args[i + 1]);
        }
        String[] listen = given.getOrDefault("listen", "127.0.0.1:0").split(":", 2);
        return new Options(
                given.getOrDefault("id", "catalog-1"),
                listen[0],
                Integer.parseInt(listen[1]),
                given.getOrDefault("sarsen", "http://127.0.0.1:7000"),
                Duration.ofSeconds(Long.parseLong(given.getOrDefault("ttl", "10"))));
    }
}
