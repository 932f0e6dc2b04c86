# SPDX-License-Identifier: Apache-2.0
# frozen_string_literal: true

module Sarsen
  # For Rails controllers: actions that hand the request to a service.
  #
  #   class GraphqlController < ApplicationController
  #     include Sarsen::Forward
  #     before_action :authenticate!
  #     forward :execute, to: "orders"
  #   end
  #
  # Filters, sessions and cookies work as in any action; the answer's status, headers and body are the service's.
  module Forward
    def self.included(controller)
      controller.extend(Declaration)
    end

    # What the controller's class gets.
    module Declaration
      # `to` is a service's name, or a lambda run in the controller; `path` and `headers` may be lambdas as well.
      # The request authenticates itself to the service, so Rails' check for a form token is skipped unless csrf: true.
      def forward(action, to:, csrf: false, **options)
        Sarsen.services << to unless to.respond_to?(:call)
        checked = csrf || !respond_to?(:skip_before_action)
        skip_before_action :verify_authenticity_token, only: [action], raise: false unless checked
        define_method(action) { forward_to(to, **options) }
      end
    end

    # Rails rewrites Cache-Control, and does not close a body it was given; what the service said is put back here.
    def to_a
      answer = super
      return answer unless @sarsen_answer && answer.is_a?(Array)

      status, headers, body = answer
      _, ours, stream = @sarsen_answer
      # A rescue_from or an after_action may have answered something else instead.
      return answer.tap { stream.close if stream.respond_to?(:close) } unless response_body.equal?(stream)

      cache = RackAnswer.name("cache-control")
      headers[cache] = ours[cache] if ours[cache] && headers[cache] != ours[cache]
      stream.respond_to?(:close) ? [status, headers, ClosingBody.new(stream, body)] : answer
    end

    private

    # Forwards the request of this action. The block sees the answer before it goes out, and may change its headers.
    def forward_to(service, **options)
      service = sarsen_value(service)
      options = options.transform_values { |value| sarsen_value(value) }
      response = ReleaseConnections.around(request.env) { Forwarder.new(service, options).call(request.env) }
      yield response if block_given?
      answer = RackAnswer.build(response, request.env)
      sarsen_render(*answer)
      @sarsen_answer = answer
    ensure
      response.body.close if response && !answer.equal?(@sarsen_answer)
    end

    def sarsen_value(value)
      value.respond_to?(:call) ? instance_exec(&value) : value
    end

    def sarsen_render(status, fields, body)
      self.status = status
      cookie = RackAnswer.name("set-cookie")
      fields.each do |name, value|
        # Rails' own cookies are added to these later on; one that an action set before must not be lost either.
        value = [*headers[name], *value].inject { |before, one| RackAnswer.cookies(before, one) } if name == cookie
        headers[name] = value
      end
      self.response_body = body
    end
  end

  # Streams one body and closes two.
  class ClosingBody
    def initialize(stream, rails_body)
      @stream = stream
      @rails_body = rails_body
    end

    def each(&block)
      @stream.each(&block)
    end

    def close
      @stream.close
    ensure
      @rails_body.close if @rails_body.respond_to?(:close)
    end
  end

  # What a thread holds while it waits for a service, others wait for: connections to the database, and in development the
  # lock that code reloading takes.
  module ReleaseConnections
    module_function

    def around(env, &block)
      release_database(env) if Sarsen.config.release_db_connection
      interlock = reloading? && ActiveSupport::Dependencies.interlock
      interlock ? interlock.permit_concurrent_loads(&block) : yield
    end

    # Kept inside a transaction, and under Rack::Test, where the test's own transaction lives on that connection.
    def release_database(env)
      return if !defined?(ActiveRecord::Base) || env["rack.test"]

      handler = ActiveRecord::Base.connection_handler
      pools = handler.connection_pool_list
      return if pools.any? { |pool| pool.active_connection? && pool.connection.transaction_open? }

      handler.clear_active_connections!
    end

    # A service that calls back into this Rails while it reloads would wait for us, and we for the service (rails #35125).
    def reloading?
      defined?(Rails.application) && Rails.application && !Rails.application.config.cache_classes &&
        defined?(ActiveSupport::Dependencies) && ActiveSupport::Dependencies.respond_to?(:interlock)
    end
  end
end
