# SPDX-License-Identifier: Apache-2.0
# frozen_string_literal: true

$LOAD_PATH.unshift File.expand_path("../lib", __dir__)
require "minitest/autorun"
require "fileutils"
require "timeout"
require "rack/mock"
require "sarsen"
require_relative "support/gateway"

# Each test has its own settings and, when it asks for one, its own gateway.
class SarsenTest < Minitest::Test
  def setup
    Sarsen.reset
    Sarsen.services.clear
    @gateways = []
  end

  def teardown
    Sarsen.reset
    @gateways.each(&:stop)
  end

  def gateway(kind = :unix, &script)
    server = Gateway.new(kind, &script)
    @gateways << server
    Sarsen.config.gateway = server.address
    server
  end

  # An answer of these exact bytes to the first request; then the connection ends.
  def gateway_of(bytes, kind = :unix)
    gateway(kind) { |peer| peer.request && peer.write(bytes) }
  end

  def seconds
    started = Sarsen::Deadline.now
    yield
    Sarsen::Deadline.now - started
  end

  def pool
    Sarsen.transport.pool
  end

  def wait_until
    deadline = Sarsen::Deadline.after(5)
    until yield
      raise "it did not happen within 5 s" if deadline.passed?

      Thread.pass
    end
  end

  def self.on_forking_ruby(name, &block)
    return unless Process.respond_to?(:fork) && RUBY_ENGINE != "jruby"

    define_method(name, &block)
  end
end
