# SPDX-License-Identifier: Apache-2.0
# frozen_string_literal: true

require "securerandom"

module Sarsen
  # On whose behalf this thread works: the customer, the baggage with the BOM, the trace, the deadline.
  #
  # A context made from a Rack env reads it late. The middleware that makes it may run before the session is there, and a
  # session may log somebody in half way through.
  class Context
    KEY = :sarsen_context
    TRACEPARENT = /\A(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-|\z)/.freeze
    REQUEST_ID = /[^\w\-@]/.freeze

    class << self
      # The one of this thread. Outside of any request there is an empty one, which starts a trace of its own.
      def current
        Thread.current[KEY] || new
      end

      # The one of a Rack request; the same object however often it is asked for.
      def of(env)
        env["sarsen.context"] ||= new(env: env)
      end

      # Makes a context the current one for a block. Threads do not inherit it: pass `Sarsen::Context.current` along, and wrap
      # the thread's work in this.
      def with(context)
        before = Thread.current[KEY]
        Thread.current[KEY] = context.is_a?(Hash) ? new(**context) : context
        yield
      ensure
        Thread.current[KEY] = before
      end
    end

    # A body that streams to the client, so that it can be closed when no server will ever get to see it.
    attr_writer :open_body

    # Seconds this context's requests have waited for the gateway, for the log line.
    attr_accessor :waited

    def initialize(env: nil, customer: nil, baggage: nil, traceparent: nil, request_id: nil, deadline: nil)
      @env = env
      @customer = customer
      @given_baggage = baggage
      @traceparent = traceparent
      @request_id = request_id
      @deadline = deadline || deadline_from_env
      @waited = 0.0
      @open_body = nil
    end

    attr_reader :deadline

    # Never remembered: a login in this very request changes it.
    def customer
      return @customer if @customer || @env.nil?

      Sarsen.config.identity&.call(identity_env)&.to_s
    end

    # What the peer sent, if it may say so. Members that name another customer than the session does are not believed at all,
    # and with them goes the BOM, which was that customer's.
    def baggage
      return @given_baggage if @env.nil?

      @baggage ||= trusted? ? @env["HTTP_BAGGAGE"].to_s : Baggage.without_sarsen(@env["HTTP_BAGGAGE"])
      named = Baggage.customer(@baggage)
      known = named && customer
      known && !known.empty? && known != named ? Baggage.without_sarsen(@baggage) : @baggage
    end

    # The client's trace goes on; without a valid one a trace starts here.
    def traceparent
      @traceparent ||= received_traceparent || "00-#{SecureRandom.hex(16)}-#{SecureRandom.hex(8)}-01"
    end

    # Vendor data belongs to the trace it came with.
    def tracestate
      @env && received_traceparent ? @env["HTTP_TRACESTATE"] : nil
    end

    def request_id
      @request_id ||= begin
        given = @env && (@env["action_dispatch.request_id"] || @env["HTTP_X_REQUEST_ID"])
        given = given.to_s.gsub(REQUEST_ID, "")[0, 255]
        given.empty? ? SecureRandom.uuid : given
      end
    end

    def abandon
      @open_body&.close
      @open_body = nil
    end

    private

    def trusted?
      @trusted = Sarsen.config.trusted_peer?(@env) if @trusted.nil?
      @trusted
    end

    def received_traceparent
      given = @env && @env["HTTP_TRACEPARENT"].to_s
      given if given && given.size <= 256 && TRACEPARENT.match?(given)
    end

    def deadline_from_env
      given = @env && @env["HTTP_SARSEN_DEADLINE"].to_s
      given && /\A\d{1,9}\z/.match?(given) && trusted? ? Deadline.after(given.to_i / 1000.0) : nil
    end

    # Above the session middleware there is no session; there, an identity that reads it finds nobody instead of nil.
    def identity_env
      @env["rack.session"] ? @env : @env.merge("rack.session" => {})
    end
  end
end
