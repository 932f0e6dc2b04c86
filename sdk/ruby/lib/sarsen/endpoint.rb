# SPDX-License-Identifier: Apache-2.0
# frozen_string_literal: true

module Sarsen
  # A Rack application that forwards to one service. In config/routes.rb, without a controller:
  #
  #   post "/graphql", to: Sarsen::Endpoint.new("orders")
  class Endpoint
    def initialize(service, **options)
      Sarsen.services << service.to_s
      @forwarder = Forwarder.new(service, options)
    end

    def call(env)
      RackAnswer.build(@forwarder.call(env), env)
    end
  end
end
