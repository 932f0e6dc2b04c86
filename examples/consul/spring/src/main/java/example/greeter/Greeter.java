// SPDX-License-Identifier: Apache-2.0
package example.greeter;

import java.util.List;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.cloud.client.discovery.DiscoveryClient;
import org.springframework.core.env.Environment;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.client.RestClient;

/**
 * A Spring Boot service that registers with Consul by its starter, and takes what it greets with
 * from Consul's KV store, changes included. Where Consul is, and which version this is,
 * application.yaml says.
 */
@SpringBootApplication
@RestController
public class Greeter {
    private final Environment environment;
    private final DiscoveryClient discovery;
    private final RestClient.Builder balanced;
    private final String version;

    Greeter(Environment environment, DiscoveryClient discovery, RestClient.Builder balanced,
            @Value("${spring.cloud.consul.discovery.metadata.version}") String version) {
        this.environment = environment;
        this.discovery = discovery;
        this.balanced = balanced;
        this.version = version;
    }

    record Greeting(String message, String version) { }

    @GetMapping("/hello/{name}")
    Greeting hello(@PathVariable String name) {
        return new Greeting(environment.getProperty("greeting", "hello") + " " + name, version);
    }

    /** Where the services of a name are. */
    @GetMapping("/found/{service}")
    List<String> found(@PathVariable String service) {
        return discovery.getInstances(service).stream().map(at -> at.getUri().toString()).toList();
    }

    /** What another service greets with. */
    @GetMapping(path = "/ask/{service}/{name}", produces = "application/json")
    String ask(@PathVariable String service, @PathVariable String name) {
        return balanced.build().get().uri("http://{service}/hello/{name}", service, name).retrieve()
            .body(String.class);
    }

    public static void main(String[] arguments) {
        SpringApplication.run(Greeter.class, arguments);
    }
}
