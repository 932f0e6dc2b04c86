// SPDX-License-Identifier: Apache-2.0
package example.greeter;

import org.springframework.cloud.client.loadbalancer.LoadBalanced;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.web.client.RestClient;

/** A client for which the host of a URL is a service's name. */
@Configuration
class Balancing {
    @Bean
    @LoadBalanced
    RestClient.Builder balanced() {
        return RestClient.builder();
    }
}
