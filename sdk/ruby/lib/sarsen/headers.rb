# SPDX-License-Identifier: Apache-2.0
# frozen_string_literal: true

require "uri"

module Sarsen
  # Which header fields pass, in each direction.
  #
  # Towards the gateway: everything the client sent, except what belongs to one connection only, what only we may say, and
  # what is the client's business with Rails (its cookies). Nothing is added that the client did not send, except our own.
  module Headers
    HOP_BY_HOP = %w[connection keep-alive te trailer transfer-encoding upgrade expect http2-settings].freeze
    # Written by us from what we know of the connection, or by Http1.
    OURS = %w[host content-length version x-forwarded-for x-forwarded-host x-forwarded-proto
              baggage traceparent tracestate x-request-id].freeze
    # An answer must not talk to the web server in front of Rails, nor decide Rails' routing; framing is the server's;
    # Sarsen-Customer would log somebody in, which only the application itself may do.
    ANSWER_DROPPED = %w[content-length date server status x-sendfile x-accel-redirect x-lighttpd-send-file x-reproxy-url
                        x-cascade sarsen-customer].freeze

    module_function

    # The fields of a forwarded request as a Hash from lower-case name to value.
    def for_forward(env, context, service, options)
      fields = from_client(env, options.fetch(:cookies), options.fetch(:config))
      fields["accept-encoding"] ||= "identity"
      forwarded_fields(env, fields)
      fields.merge!(from_context(context, service, options.fetch(:config)))
      extra(options[:headers], fields)
      fields
    end

    # What every request carries, forwarded or called.
    def from_context(context, service, config)
      fields = { "sarsen-service" => clean(service) }
      { "sarsen-customer" => context.customer, "sarsen-caller" => config.name, "baggage" => context.baggage,
        "traceparent" => context.traceparent, "tracestate" => context.tracestate,
        "x-request-id" => context.request_id }.each do |name, value|
        value = clean(value)
        fields[name] = value unless value.empty?
      end
      fields
    end

    # Fields the application names itself win over all others, also those that Rack could not have carried.
    def extra(named, fields)
      (named || {}).each do |name, value|
        name = name.to_s.downcase
        raise ArgumentError, "#{name.inspect} is no header name" unless Http1::TOKEN.match?(name)

        value.nil? ? fields.delete(name) : fields[name] = clean(value)
      end
      fields
    end

    def from_client(env, cookies, config)
      nominated = env["HTTP_CONNECTION"].to_s.downcase.split(",").map(&:strip)
      forbidden = config.trusted_headers.map { |name| name.to_s.downcase.tr("_", "-") }
      fields = {}
      env.each do |key, value|
        next unless key.is_a?(String) && value.is_a?(String)
        next unless (name = client_name(key))
        next if private_name?(name) || nominated.include?(name) || forbidden.include?(name)
        next if name == "cookie" && !cookies

        fields[name] = clean(value)
      end
      fields
    end

    # Rack folds X_User_Id and X-User-Id into one key, so comparing on the folded name catches both spellings.
    def client_name(key)
      return key[5..].downcase.tr("_", "-") if key.start_with?("HTTP_")

      "content-type" if key == "CONTENT_TYPE"
    end

    def private_name?(name)
      HOP_BY_HOP.include?(name) || OURS.include?(name) || name.start_with?("proxy-", "sarsen-") || !Http1::TOKEN.match?(name)
    end

    def forwarded_fields(env, fields)
      hops = [clean(env["HTTP_X_FORWARDED_FOR"]), clean(env["REMOTE_ADDR"])].reject(&:empty?)
      fields["x-forwarded-for"] = hops.join(", ") unless hops.empty?
      { "x-forwarded-host" => env["HTTP_X_FORWARDED_HOST"] || env["HTTP_HOST"],
        "x-forwarded-proto" => env["HTTP_X_FORWARDED_PROTO"] || env["rack.url_scheme"] }.each do |name, value|
        value = clean(value)
        fields[name] = value unless value.empty?
      end
    end

    def clean(value)
      value.to_s.delete("\r\n\0")
    end

    # The fields of an answer that a browser may see, in order, names in lower case.
    def for_answer(response, request_method)
      nominated = response.headers.flat_map { |name, value| name == "connection" ? value.downcase.split(",").map(&:strip) : [] }
      response.headers.reject do |name, _|
        next false if name == "content-length" && request_method == "HEAD"

        HOP_BY_HOP.include?(name) || name.start_with?("proxy-") || ANSWER_DROPPED.include?(name) || nominated.include?(name)
      end
    end
  end

  # The W3C header `baggage`: members separated by commas. The gateway's own are named sarsen.*.
  module Baggage
    module_function

    # Without the members only a trusted peer may set. Keys are compared without case and with %-escapes undone, so that no
    # spelling which somebody downstream might fold gets through.
    def without_sarsen(text)
      members(text).reject { |key, _| sarsen?(key) }.map(&:last).join(",")
    end

    def customer(text)
      _, member = members(text).find { |key, _| key == "sarsen.customer" }
      member && URI::DEFAULT_PARSER.unescape(member.split("=", 2).last.split(";").first.to_s.strip)
    end

    def members(text)
      text.to_s.split(",").map(&:strip).reject(&:empty?).map { |member| [member[/\A[^=;]*/].strip, member] }
    end

    def sarsen?(key)
      key = key.gsub(/%([0-9a-fA-F]{2})/) { Regexp.last_match(1).hex.chr }
      key.downcase.start_with?("sarsen.")
    end
  end
end
