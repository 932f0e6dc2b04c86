# SPDX-License-Identifier: Apache-2.0
# frozen_string_literal: true

module Sarsen
  # What Rails gets without asking: the context of each request, statuses for our errors, the time spent in the log line, a
  # warning where threads would wait for each other, and rake sarsen:doctor. `config.sarsen` is Sarsen.config.
  class Railtie < ::Rails::Railtie
    config.sarsen = Sarsen.config

    # Before the app's own middleware is merged in; the context reads the session late, so it may stand in front of it.
    initializer "sarsen.middleware" do |app|
      app.middleware.use Sarsen::ContextMiddleware
    end

    initializer "sarsen.errors", before: "action_dispatch.configure" do |app|
      app.config.action_dispatch.rescue_responses.merge!(
        "Sarsen::Timeout" => :gateway_timeout, "Sarsen::Unavailable" => :service_unavailable,
        "Sarsen::Busy" => :service_unavailable, "Sarsen::BadGateway" => :bad_gateway
      )
    end

    initializer "sarsen.log" do
      ActiveSupport.on_load(:action_controller) do
        include Sarsen::WaitedInLog if respond_to?(:log_process_action)
      end
    end

    # GraphQL's query and variables fill the Parameters: line and hold what users typed. Not later than this, because the
    # application remembers the list with its first request.
    initializer "sarsen.filter_parameters", after: :load_config_initializers do |app|
      app.config.filter_parameters += %i[query variables] if Sarsen.config.filter_parameters
    end

    config.after_initialize do |app|
      Sarsen.config.logger ||= ::Rails.logger
      Railtie.warn_of_lock(app)
    end

    # Rack::Lock lets one request in at a time. A service that calls back into this Rails while a request of ours waits for it
    # would wait until the deadline.
    def self.warn_of_lock(app)
      return unless app.middleware.any? { |entry| entry.respond_to?(:klass) && entry.klass.to_s == "Rack::Lock" }

      Sarsen.log(:warn, "Rack::Lock serves one request at a time; a service that calls back into this application hangs " \
                        "until its deadline. Set config.allow_concurrency = true.")
    end

    rake_tasks { load File.expand_path("tasks.rake", __dir__) }
  end

  # "Completed 200 OK in 5ms (Views: 0.1ms | Gateway: 0.8ms)"
  module WaitedInLog
    def self.included(controller)
      controller.extend(Line)
    end

    # What the controller's class gets.
    module Line
      def log_process_action(payload)
        messages = super
        runtime = payload[:sarsen_runtime]
        messages << format("Gateway: %.1fms", runtime) if runtime
        messages
      end
    end

    private

    def append_info_to_payload(payload)
      super
      context = request.env["sarsen.context"]
      waited = context ? context.waited : 0
      payload[:sarsen_runtime] = waited * 1000 if waited.positive?
    end
  end
end
