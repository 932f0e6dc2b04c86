# SPDX-License-Identifier: Apache-2.0
# frozen_string_literal: true

# Sarsen for Ruby: forwards requests to the services behind a Sarsen gateway, and calls them.
#
# Reading order: configuration, forwarder (a Rack request becomes a Request), client (a Request becomes a Response), then
# what uses them: forward (controllers), endpoint (routes), middleware, call.

require "set"
require "sarsen/version"
require "sarsen/errors"
require "sarsen/deadline"
require "sarsen/configuration"
require "sarsen/connection"
require "sarsen/message"
require "sarsen/http1"
require "sarsen/pool"
require "sarsen/client"
require "sarsen/headers"
require "sarsen/context"
require "sarsen/rack_answer"
require "sarsen/forwarder"
require "sarsen/endpoint"
require "sarsen/middleware"
require "sarsen/call"
require "sarsen/forward"

# The entry points: configure, call, and what the parts share.
module Sarsen
  autoload :Testing, "sarsen/testing"
  autoload :Doctor, "sarsen/doctor"

  @config = Configuration.new
  @services = Set.new
  @transport = Client.new(@config)

  class << self
    # The names of services this application forwards to, for the doctor.
    attr_reader :config, :services
    # What carries requests: the Client, or a stub while tests run.
    attr_accessor :transport

    def configure
      yield config
      config
    end

    # Forgets all settings and connections. For tests of this gem and of initializers.
    def reset
      @transport.pool.clear if @transport.respond_to?(:pool)
      @config = Configuration.new
      @transport = Client.new(@config)
    end

    def call(service, http_method, path, **options)
      Call.new(service, http_method, path, options).run
    end

    # Carries one request, and tells the log and whoever subscribed to request.sarsen.
    def exchange(request, context)
      payload = { service: request.service, method: request.method, path: request.path, status: nil }
      started = Deadline.now
      instrument(payload) do
        response = transport.exchange(request)
        payload[:status] = response.status
        response
      end
    ensure
      context.waited += Deadline.now - started if started
    end

    def log(level, text)
      logger = config.logger
      logger&.public_send(level, "Sarsen: #{text}")
    end

    private

    def instrument(payload, &block)
      return yield unless defined?(ActiveSupport::Notifications)

      ActiveSupport::Notifications.instrument("request.sarsen", payload, &block)
    end
  end
end

require "sarsen/railtie" if defined?(Rails::Railtie)
