# SPDX-License-Identifier: Apache-2.0
# frozen_string_literal: true

require "uri"

module Sarsen
  # Turns a Rack request into a request to a service and brings back a Response; the controllers, the endpoint and the
  # middleware all use it. The body's bytes are those that came in, never rebuilt from params.
  class Forwarder
    # path:     another path than the client's; with a "?" also another query
    # prefix:   a leading part of the path to take off
    # timeout:  seconds for the whole exchange instead of config.timeout
    # headers:  fields to add, nil values to take away
    # cookies:  whether the client's cookies go along
    OPTIONS = %i[path prefix timeout headers cookies].freeze

    def initialize(service, options = {})
      unknown = options.keys - OPTIONS
      raise ArgumentError, "unknown option #{unknown.first.inspect}; there are #{OPTIONS.join(', ')}" unless unknown.empty?
      raise ArgumentError, "the service has no name" if service.to_s.empty?

      @service = service.to_s
      @options = options
    end

    # The service's answer, or the answer that says why there is none. Errors of the application itself are raised.
    def call(env)
      return RackAnswer.of_error(no_upgrade, env) if websocket?(env)

      context = Context.of(env)
      response = Sarsen.exchange(request(env, context), context)
      context.open_body = response.body
      rewrite_location(response)
      settle(response)
    rescue ConfigurationError
      raise
    rescue Error => e
      e.service ||= @service
      Sarsen.log(:warn, "#{env['REQUEST_METHOD']} #{env['PATH_INFO']} was not forwarded to #{@service}: #{e.message}")
      RackAnswer.of_error(e, env)
    end

    private

    def request(env, context)
      config = Sarsen.config
      limits = Limits.new(open: config.open_timeout, read: config.read_timeout, write: config.write_timeout,
                          deadline: Deadline.after(@options[:timeout] || config.timeout).earlier(context.deadline))
      cookies = @options.fetch(:cookies, config.forward_cookies)
      headers = Headers.for_forward(env, context, @service, config: config, cookies: cookies, headers: @options[:headers])
      if (left = limits.deadline.milliseconds)
        headers["sarsen-deadline"] = left.to_s
      end
      Request.new(@service, Target.http_method(env), target(env), headers, RequestBody.from_rack(env), limits)
    end

    # A small body is read here, while an error can still become an answer; a large one streams, and then only its silences
    # are limited.
    def settle(response)
      body = response.body
      body.open_ended(Sarsen.config.read_timeout) unless body.settle(Sarsen.config.buffer_size) || body.endless?
      response
    end

    def target(env)
      given = @options[:path]
      path = given ? given.to_s : Target.path(env)
      prefix = @options[:prefix].to_s
      path = path.delete_prefix(prefix) if !given && Target.below?(path, prefix)
      path = "/#{path}" unless path.start_with?("/")
      query = env["QUERY_STRING"].to_s
      Target.escape(path.include?("?") || query.empty? ? path : "#{path}?#{query}")
    end

    # The gateway's own address means nothing to a browser; a path does.
    def rewrite_location(response)
      %w[location content-location].each do |name|
        value = response[name]
        next unless value

        path = value.sub(%r{\Ahttps?://(?:localhost|#{Regexp.escape(Sarsen.config.address.authority)})(?=[/?#]|\z)}i, "")
        path = "/#{path}" if path != value && !path.start_with?("/")
        prefix = @options[:prefix].to_s
        path = "#{prefix}#{path}" if !prefix.empty? && path.start_with?("/") && !path.start_with?("//")
        response[name] = path unless path == value
      end
    end

    def websocket?(env)
      env["HTTP_UPGRADE"].to_s.downcase.split(",").map(&:strip).include?("websocket")
    end

    def no_upgrade
      BadRequest.new("send WebSocket connections straight to the gateway").tap do |error|
        error.define_singleton_method(:status) { 426 }
        error.define_singleton_method(:code) { "UPGRADE_NOT_FORWARDED" }
      end
    end
  end

  # The request line, as the client wrote it.
  module Target
    module_function

    # Rack::MethodOverride changes the method by a form's field; the service gets the same form and can do the same.
    def http_method(env)
      env["rack.methodoverride.original_method"] || env["REQUEST_METHOD"]
    end

    # Servers differ in whether PATH_INFO is unescaped, and middlewares may rewrite it. The raw path is used where it says the
    # same.
    def path(env)
      joined = "#{env['SCRIPT_NAME']}#{env['PATH_INFO']}".b
      raw = env["REQUEST_URI"].to_s.b.sub(%r{\Ahttps?://[^/?#]*}i, "")[/\A[^?#]*/]
      return joined if raw.empty? || raw == joined

      URI::DEFAULT_PARSER.unescape(raw).b == joined ? raw : joined
    end

    def below?(path, prefix)
      !prefix.empty? && path.start_with?(prefix) && ["", "/", "?"].include?(path[prefix.size].to_s)
    end

    # No byte may end the request line early.
    def escape(target)
      target.b.gsub(/[^\x21-\x7e]/n) { |byte| format("%%%02X", byte.ord) }
    end
  end
end
