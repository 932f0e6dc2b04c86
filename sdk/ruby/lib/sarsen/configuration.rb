# SPDX-License-Identifier: Apache-2.0
# frozen_string_literal: true

require "ipaddr"

module Sarsen
  # Where the gateway listens: a unix socket or a host and port.
  class Address
    attr_reader :path, :host, :port

    def self.parse(text)
      text = text.to_s.strip
      case text
      when %r{\Aunix:(?://)?([^\r\n\0]+)\z} then new(path: Regexp.last_match(1))
      when %r{\Ahttp://(\[[0-9a-fA-F:.]+\]|[^/:\[\]@\s]+)(?::(\d{1,5}))?/?\z}
        new(host: Regexp.last_match(1), port: (Regexp.last_match(2) || 80).to_i)
      else
        raise ConfigurationError, "gateway is #{text.inspect}; write unix:///path/gateway.sock or http://host:port"
      end
    end

    def initialize(path: nil, host: nil, port: nil)
      @path = path
      @host = host
      @port = port
    end

    # The Host header: the gateway's name, never the browser's (that one travels in x-forwarded-host).
    def authority
      @path ? "localhost" : "#{@host}:#{@port}"
    end

    def to_s
      @path ? "unix:#{@path}" : "http://#{authority}"
    end
  end

  # The settings, written once in an initializer and read on every request. README.md has the same table in prose.
  class Configuration
    DEFAULT_GATEWAY = "http://127.0.0.1:8001"

    attr_accessor :name, :identity, :trusted_headers, :forward_cookies,
                  :open_timeout, :read_timeout, :write_timeout, :timeout, :stream_timeout,
                  :pool_size, :idle_timeout, :concurrency, :concurrency_by_service,
                  :buffer_size, :max_answer_size, :release_db_connection, :filter_parameters, :logger
    attr_reader :gateway, :address, :trusted_peer

    def initialize
      self.gateway = nil
      self.trusted_peer = :loopback
      @trusted_headers = []
      @forward_cookies = false
      @release_db_connection = true
      @filter_parameters = false
      timeouts
      sizes
    end

    # nil and "" leave the default, so that `c.gateway = ENV["SARSEN_GATEWAY"]` needs no `||`.
    def gateway=(text)
      text = [text, ENV.fetch("SARSEN_GATEWAY", nil), DEFAULT_GATEWAY].find { |choice| !choice.to_s.empty? }
      @address = Address.parse(text)
      @gateway = text
    end

    # Whose `baggage` and `Sarsen-Deadline` are believed: :loopback (the default), :none, a list of addresses and CIDRs,
    # or a callable that gets the Rack env.
    def trusted_peer=(rule)
      @trusted_peer = rule
      @peer_check =
        case rule
        when :loopback then method(:loopback?)
        when :none, nil, false then ->(_env) { false }
        when Array then network_check(rule)
        else callable(rule, "trusted_peer")
        end
    end

    def trusted_peer?(env)
      @peer_check.call(env) ? true : false
    end

    def concurrency_for(service)
      (@concurrency_by_service || {})[service] || @concurrency
    end

    private

    def timeouts
      @open_timeout = 1
      @read_timeout = 30
      @write_timeout = 30
      @timeout = 30
      @stream_timeout = 300
      # Shorter than the 60 s after which the gateway closes a silent connection, so that ours is never the stale end.
      @idle_timeout = 15
    end

    def sizes
      @pool_size = 32
      @concurrency = nil
      @concurrency_by_service = {}
      @buffer_size = 1_048_576
      @max_answer_size = 64 * 1_048_576
    end

    def callable(rule, setting)
      return rule if rule.respond_to?(:call)

      raise ConfigurationError, "#{setting} is #{rule.inspect}; write :loopback, :none, a list of addresses or a lambda"
    end

    # Servers report the peer of a unix socket as 127.0.0.1, "" or "unix:"; an env without the key came from no socket at all.
    def loopback?(env)
      peer = env["REMOTE_ADDR"]
      return false if peer.nil?

      peer == "127.0.0.1" || peer == "::1" || peer == "" || peer == "unix:" ||
        peer.start_with?("127.") || peer == "::ffff:127.0.0.1"
    end

    def network_check(list)
      networks = list.map { |text| IPAddr.new(text) }
      lambda do |env|
        peer = begin
          IPAddr.new(env["REMOTE_ADDR"].to_s)
        rescue IPAddr::Error
          nil
        end
        peer && networks.any? { |network| network.include?(peer) }
      end
    end
  end
end
