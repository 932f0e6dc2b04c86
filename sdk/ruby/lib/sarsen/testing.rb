# SPDX-License-Identifier: Apache-2.0
# frozen_string_literal: true

module Sarsen
  # Services for tests, without a gateway and without a network.
  #
  #   class CheckoutTest < ActionDispatch::IntegrationTest
  #     include Sarsen::Testing
  #     test "order" do
  #       stub_service("orders") { |request| { data: { id: request.json["variables"]["id"] } } }
  #       post "/graphql", params: ...
  #       assert_equal "acme", service_calls("orders").last.headers["sarsen-customer"]
  #     end
  #   end
  #
  # A block answers with a Hash or an Array (JSON), a String (text), [status, headers, body], or by raising, Sarsen::Timeout
  # for instance. A service without a stub is an error that says which stub to write. Minitest and RSpec alike; other
  # frameworks call `Sarsen::Testing.start` before and `Sarsen::Testing.stop` after each test.
  module Testing
    # Not a Sarsen::Error, which would become a 502 that hides the missing stub.
    class MissingStub < StandardError
    end

    # What a stub gets: the request as it would have gone to the gateway.
    class Call
      attr_reader :service, :method, :path, :query, :headers, :body

      def initialize(request)
        @service = request.service
        @method = request.method
        @path, @query = request.target.split("?", 2)
        @headers = request.headers.dup.freeze
        @body = request.body.to_s.dup.force_encoding(Encoding::UTF_8).freeze
      end

      def json
        JSON.parse(body)
      end
    end

    # Stands where the Client stands.
    class Transport
      attr_reader :calls

      def initialize
        @stubs = {}
        @calls = []
        @mutex = Mutex.new
      end

      def stub(service, block)
        @stubs[service.to_s] = block
      end

      # Calls come from the threads of a server, too.
      def exchange(request)
        call = Call.new(request)
        block = @mutex.synchronize do
          @calls << call
          @stubs[call.service]
        end
        raise MissingStub, missing(call) unless block

        answer(block.call(call))
      end

      private

      def missing(call)
        "no stub for #{call.method} #{call.path} of #{call.service}; write: " \
          "stub_service(#{call.service.inspect}) { |request| { data: {} } }"
      end

      # An Array is a batch of GraphQL answers unless it can only be meant as status, headers and body.
      def answer(value)
        return json(200, {}, value) unless triple?(value) || value.is_a?(String)
        return Response.of_text(200, { "content-type" => "text/plain; charset=utf-8" }, value) if value.is_a?(String)

        status, headers, body = value
        body.is_a?(String) || body.nil? ? Response.of_text(status, headers, body) : json(status, headers, body)
      end

      def triple?(value)
        value.is_a?(Array) && value.size == 3 && value[0].is_a?(Integer) && value[1].is_a?(Hash)
      end

      def json(status, headers, value)
        named = headers.keys.any? { |name| name.to_s.casecmp("content-type").zero? }
        headers = { "content-type" => "application/json; charset=utf-8" }.merge(headers) unless named
        Response.of_text(status, headers, JSON.generate(value))
      end
    end

    class << self
      # Minitest::Spec has `before` as well, but there a second one replaces the first.
      def included(base)
        return unless defined?(RSpec::Core::ExampleGroup) && base <= RSpec::Core::ExampleGroup

        base.before { Sarsen::Testing.start }
        base.after { Sarsen::Testing.stop }
      end

      def start
        stop
        @before = Sarsen.transport
        Sarsen.transport = Transport.new
      end

      def stop
        Sarsen.transport = @before if @before
        @before = nil
      end
    end

    # Minitest's hooks; they run around setup and teardown, so that those may stub and call.
    def before_setup
      Sarsen::Testing.start
      super
    end

    def after_teardown
      super
    ensure
      Sarsen::Testing.stop
    end

    def stub_service(service, &block)
      raise ArgumentError, "stub_service needs a block" unless block

      Sarsen.transport.stub(service, block)
    end

    # The requests a service has got in this test, oldest first.
    def service_calls(service)
      Sarsen.transport.calls.select { |call| call.service == service.to_s }
    end
  end
end
