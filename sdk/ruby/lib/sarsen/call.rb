# SPDX-License-Identifier: Apache-2.0
# frozen_string_literal: true

module Sarsen
  # Requests the application makes itself: same customer, same BOM, same trace as the request this thread serves.
  #
  #   Sarsen.call("orders", :get, "/orders/1").json
  #   Sarsen.call("orders", :post, "/orders", json: { sku: 1 }, timeout: 2)
  #
  # Answers of the service are returned, whatever their status. When the service could not be asked or did not answer,
  # Sarsen::Timeout, Unavailable or BadGateway is raised; also when the gateway says so in a problem document.
  class Call
    PROBLEMS = { 502 => BadGateway, 503 => Unavailable, 504 => Timeout }.freeze
    OPTIONS = %i[json body query headers timeout].freeze

    def initialize(service, http_method, path, options)
      unknown = options.keys - OPTIONS
      raise ArgumentError, "unknown option #{unknown.first.inspect}; there are #{OPTIONS.join(', ')}" unless unknown.empty?
      raise ArgumentError, "give json: or body:, not both" if options[:json] && options[:body]

      @service = service.to_s
      @method = http_method.to_s.upcase
      @path = path.to_s
      @options = options
    end

    def run
      context = Context.current
      response = Sarsen.exchange(request(context), context)
      text = response.body.read(Sarsen.config.max_answer_size)
      whole = Response.new(response.status, response.headers, TextBody.new(readable(text, response)))
      raise_problem(whole)
      whole
    rescue Error => e
      e.service ||= @service
      raise
    end

    private

    def request(context)
      config = Sarsen.config
      deadline = Deadline.after(@options[:timeout] || config.timeout).earlier(context.deadline)
      limits = Limits.new(open: config.open_timeout, read: config.read_timeout, write: config.write_timeout, deadline: deadline)
      Request.new(@service, @method, target, headers(context, deadline), body, limits)
    end

    def headers(context, deadline)
      config = Sarsen.config
      fields = { "accept-encoding" => "identity" }
      fields["content-type"] = "application/json" if @options.key?(:json)
      fields.merge!(Headers.from_context(context, @service, config))
      fields["sarsen-deadline"] = deadline.milliseconds.to_s if deadline.milliseconds
      Headers.extra(@options[:headers], fields)
    end

    def target
      path = @path.start_with?("/") ? @path : "/#{@path}"
      query = @options[:query]
      query = URI.encode_www_form(query) if query.is_a?(Hash)
      path += "#{path.include?('?') ? '&' : '?'}#{query}" unless query.to_s.empty?
      Target.escape(path)
    end

    def body
      text = @options.key?(:json) ? JSON.generate(@options[:json]) : @options[:body]
      RequestBody.of(text, announced: !text.nil? || %w[POST PUT PATCH].include?(@method))
    end

    # Ruby code expects text in UTF-8; bytes that are none stay bytes.
    def readable(text, response)
      type = response["content-type"].to_s
      return text unless type.start_with?("text/") || type.include?("json") || type.include?("xml")

      copy = text.dup.force_encoding(Encoding::UTF_8)
      copy.valid_encoding? ? copy : text
    end

    def raise_problem(response)
      kind = response.problem? && PROBLEMS[response.status]
      return unless kind

      error = kind.new("#{@method} #{@path}: the gateway answered #{response.status}: #{response.text[0, 200]}")
      error.response = response
      raise error
    end
  end
end
