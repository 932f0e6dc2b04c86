// SPDX-License-Identifier: Apache-2.0
package example.shop.catalog;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetSocketAddress;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/**
 * The catalog of the example shop: REST, contract catalog@1.
 *
 * <p>{@code GET /products} lists all, {@code GET /products/S-100} shows one.
 */
public final class Catalog {
    private static final String PATH = "/products";
    private static final int THREADS = 8;

    private final ObjectMapper json = new ObjectMapper();
    private final Map<String, Product> products = new TreeMap<>();
    private final String build;

    private Catalog(String build) throws IOException {
        this.build = build;
        try (InputStream data = Catalog.class.getResourceAsStream("/products.json")) {
            for (Product product : json.readValue(data, Product[].class))
                products.put(product.sku(), product);
        }
    }

    public static void main(String[] args) throws IOException {
        // Without it, the answer's body waits for the acknowledgement of its head.
        System.setProperty("sun.net.httpserver.nodelay", "true");
        Options options = Options.parse(args);
        // The jar's manifest carries the version of pom.xml; run from classes there is none.
        String build = Objects.requireNonNullElse(Catalog.class.getPackage().getImplementationVersion(), "1.0.0");

        HttpServer server = HttpServer.create(new InetSocketAddress(options.host(), options.port()), 0);
        ExecutorService threads = Executors.newFixedThreadPool(THREADS);
        server.setExecutor(threads);
        server.createContext(PATH, new Catalog(build)::handle);
        server.start();

        String address = options.host() + ":" + server.getAddress().getPort();
        Instance instance = new Instance(options, build, address);
        instance.start();
        Log.line("build=" + build + " instance=" + options.id() + " listening on " + address);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> leave(server, threads, instance)));
    }

    private static void leave(HttpServer server, ExecutorService threads, Instance instance) {
        try {
            instance.drain();
            server.stop(1); // seconds that requests in flight may still take
            instance.deregister();
            threads.shutdown();
        } catch (InterruptedException hurried) {
            Thread.currentThread().interrupt();
        }
    }

    private void handle(HttpExchange exchange) throws IOException {
        long begin = System.nanoTime();
        int status = answer(exchange);
        Baggage baggage = Baggage.of(exchange.getRequestHeaders().get("baggage"));
        String trace = Objects.requireNonNullElse(exchange.getRequestHeaders().getFirst("traceparent"), "");
        Log.line(
                String.format(
                        "build=%s %s %s status=%d ms=%.1f bom=%s customer=%s trace=%s",
                        build,
                        exchange.getRequestMethod(),
                        exchange.getRequestURI().getRawPath(),
                        status,
                        (System.nanoTime() - begin) / 1e6,
                        Log.quoted(baggage.member("sarsen.bom")),
                        Log.quoted(baggage.member("sarsen.customer")),
                        Log.quoted(trace)));
    }

    private int answer(HttpExchange exchange) throws IOException {
        String method = exchange.getRequestMethod();
        if (!method.equals("GET") && !method.equals("HEAD")) {
            exchange.getResponseHeaders().set("Allow", "GET, HEAD");
            return problem(exchange, 405, method + " is not among GET and HEAD");
        }
        String rest = exchange.getRequestURI().getPath().substring(PATH.length());
        if (rest.isEmpty() || rest.equals("/"))
            return send(exchange, 200, "application/json", products.values());
        Product product = products.get(rest.substring(1));
        if (product == null || !rest.startsWith("/"))
            return problem(exchange, 404, "there is no product " + rest);
        return send(exchange, 200, "application/json", product);
    }

    private int problem(HttpExchange exchange, int status, String detail) throws IOException {
        return send(exchange, status, "application/problem+json", Map.of("status", status, "detail", detail));
    }

    private int send(HttpExchange exchange, int status, String type, Object content) throws IOException {
        byte[] body = json.writeValueAsBytes(content);
        exchange.getResponseHeaders().set("Content-Type", type);
        boolean isHead = exchange.getRequestMethod().equals("HEAD");
        try (exchange) {
            exchange.sendResponseHeaders(status, isHead ? -1 : body.length);
            if (!isHead)
                exchange.getResponseBody().write(body);
        }
        return status;
    }
}
