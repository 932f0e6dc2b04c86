// SPDX-License-Identifier: Apache-2.0
package example.shop.catalog;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

/** This process in Sarsen's registry: register, heartbeat, drain, deregister. */
final class Instance {
    private static final int NOT_FOUND = 404;
    private static final int NO_ANSWER = 0;
    private static final long RETRY_MILLIS = 200;

    private final String url;
    private final byte[] body;
    private final Duration ttl;
    private final HttpClient client;
    private final ScheduledExecutorService beats =
            Executors.newSingleThreadScheduledExecutor(
                    task -> {
                        Thread thread = new Thread(task, "heartbeat");
                        thread.setDaemon(true);
                        return thread;
                    });
    private boolean registered; // touched by the heartbeat thread only

    Instance(Options options, String build, String address) throws IOException {
        url = options.sarsen() + "/v1/services/catalog/instances/" + options.id();
        ttl = options.ttl();
        client =
                HttpClient.newBuilder()
                        .version(HttpClient.Version.HTTP_1_1)
                        .connectTimeout(Duration.ofSeconds(2))
                        .build();
        body =
                new ObjectMapper()
                        .writeValueAsBytes(
                                Map.of(
                                        "build", build,
                                        "provides", List.of("catalog@" + build.split("\\.")[0]),
                                        "address", address,
                                        "protocol", "http",
                                        "ttl", ttl.toSeconds() + "s",
                                        "meta", Map.of("language", "java")));
    }

    void start() {
        beats.execute(this::beat);
    }

    /** Goes in the order that loses no request; the server stops between the two calls. */
    void drain() throws InterruptedException {
        beats.shutdownNow();
        // A heartbeat after the deregistration would register again.
        beats.awaitTermination(2, TimeUnit.SECONDS);
        call("POST", ":drain", BodyPublishers.noBody());
    }

    void deregister() throws InterruptedException {
        call("DELETE", "", BodyPublishers.noBody());
    }

    private void beat() {
        try {
            if (registered)
                registered = call("POST", ":heartbeat", BodyPublishers.noBody()) != NOT_FOUND;
            if (!registered) {
                int status = call("PUT", "", BodyPublishers.ofByteArray(body));
                registered = status == 200 || status == 201;
                Log.line("registration of " + url + ": status " + status);
            }
            // A third of the TTL: two lost heartbeats in a row are not yet an absence.
            beats.schedule(
                    this::beat,
                    registered ? ttl.toMillis() / 3 : RETRY_MILLIS,
                    TimeUnit.MILLISECONDS);
        } catch (InterruptedException stopped) {
            Thread.currentThread().interrupt();
        }
    }

    private int call(String method, String verb, BodyPublisher content) throws InterruptedException {
        HttpRequest request =
                HttpRequest.newBuilder(URI.create(url + verb))
                        .timeout(Duration.ofSeconds(2))
                        .header("Content-Type", "application/json")
                        .method(method, content)
                        .build();
        try {
            return client.send(request, BodyHandlers.discarding()).statusCode();
        } catch (IOException failure) {
            Log.line(method + " " + url + verb + ": " + failure);
            return NO_ANSWER;
        }
    }
}
