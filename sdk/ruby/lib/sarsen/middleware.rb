# SPDX-License-Identifier: Apache-2.0
# frozen_string_literal: true

module Sarsen
  # Forwards whole path prefixes before Rails sees the request: no params parser, no session, least work.
  #
  #   config.middleware.insert_before 0, Sarsen::Middleware, "/api/orders" => "orders"
  #   config.middleware.insert_before 0, Sarsen::Middleware, "/api/orders" => { to: "orders", strip: true, timeout: 5 }
  #
  # `strip: true` takes the prefix off the path. A prefix matches whole segments only; the longest that matches wins.
  class Middleware
    def initialize(app, routes)
      @app = app
      @routes = routes.map { |prefix, rule| [prefix.to_s.chomp("/"), forwarder(prefix.to_s.chomp("/"), rule)] }
                      .sort_by { |prefix, _| -prefix.size }
    end

    def call(env)
      path = env["PATH_INFO"].to_s
      _, forwarder = @routes.find { |prefix, _| prefix.empty? || Target.below?(path, prefix) }
      return @app.call(env) unless forwarder

      RackAnswer.build(forwarder.call(env), env)
    end

    private

    def forwarder(prefix, rule)
      rule = rule.is_a?(Hash) ? rule.dup : { to: rule }
      service = rule.delete(:to).to_s
      rule[:prefix] = prefix if rule.delete(:strip)
      Sarsen.services << service
      Forwarder.new(service, rule)
    end
  end

  # Lets Sarsen.call know which request it works for. The railtie puts it in place; other Rack applications `use` it.
  class ContextMiddleware
    def initialize(app)
      @app = app
    end

    def call(env)
      context = Context.of(env)
      Context.with(context) { @app.call(env) }
    rescue Exception # rubocop:disable Lint/RescueException -- a killed thread must give its connection back too
      context.abandon
      raise
    end
  end
end
