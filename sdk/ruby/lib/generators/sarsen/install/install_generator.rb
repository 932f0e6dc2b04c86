# SPDX-License-Identifier: Apache-2.0
# frozen_string_literal: true

require "rails/generators/base"

module Sarsen
  module Generators
    # rails generate sarsen:install [SERVICE]: the initializer, a controller that forwards GraphQL to SERVICE, its route, and
    # the line that stubs services in tests.
    class InstallGenerator < ::Rails::Generators::Base
      source_root File.expand_path("templates", __dir__)
      argument :service, type: :string, default: "orders", desc: "the service that answers GraphQL"

      def create_initializer
        template "initializer.rb.tt", "config/initializers/sarsen.rb"
      end

      def create_controller
        template "controller.rb.tt", "app/controllers/graphql_controller.rb"
      end

      def add_route
        route 'post "/graphql", to: "graphql#execute"'
      end

      def add_test_support
        helper = %w[spec/rails_helper.rb test/test_helper.rb].find { |path| File.exist?(File.join(destination_root, path)) }
        return unless helper

        append_to_file helper, helper.start_with?("spec") ? RSPEC : MINITEST
      end

      MINITEST = <<~RUBY

        # Services answer from stub_service; a test that forgets to say so is told which stub to write.
        class ActionDispatch::IntegrationTest
          include Sarsen::Testing
        end
      RUBY

      RSPEC = <<~RUBY

        # Services answer from stub_service; a test that forgets to say so is told which stub to write.
        RSpec.configure do |config|
          config.include Sarsen::Testing
        end
      RUBY

      private

      def application_name
        ::Rails.application.class.to_s.split("::").first.gsub(/([a-z\d])([A-Z])/, '\1-\2').downcase
      end
    end
  end
end
