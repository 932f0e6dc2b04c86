# SPDX-License-Identifier: Apache-2.0
# frozen_string_literal: true

module Sarsen
  # Says whether this application could serve: is the gateway there, and does it know the services we forward to?
  #
  # Asks each service for its root with HEAD, the one request that is safe to send to a service we know nothing about. Any
  # answer that carries Sarsen-Build came from an instance; a problem document came from the gateway.
  class Doctor
    def initialize(config = Sarsen.config, services = Sarsen.services)
      @config = config
      @services = services
      @client = Client.new(config)
    end

    # Prints one line per finding; true when all is well.
    def run(out)
      out.puts "sarsen #{VERSION}, ruby #{RUBY_VERSION}, rack #{Rack.release}#{rails_version}"
      return false unless gateway(out)

      out.puts "no service is named by forward, Endpoint or Middleware yet" if @services.empty?
      @services.sort.map { |service| service(out, service) }.all?
    end

    private

    def rails_version
      defined?(::Rails) && ::Rails.respond_to?(:version) ? ", rails #{::Rails.version}" : ""
    end

    def gateway(out)
      limits = Limits.new(open: @config.open_timeout, read: 5, write: 5, deadline: Deadline.after(5))
      Connection.open(@config.address, limits).close
      out.puts "ok    gateway #{@config.address}"
      true
    rescue Error => e
      out.puts "FAIL  gateway #{@config.address}: #{e.message}"
      false
    end

    def service(out, name)
      response = @client.exchange(request(name))
      response.body.close
      build = response["sarsen-build"]
      return report(out, "ok    #{name}: build #{build}, contract #{response['sarsen-contract'] || 'unknown'}", true) if build

      report(out, "FAIL  #{name}: the gateway answers #{response.status} and names no build", false)
    rescue Error => e
      report(out, "FAIL  #{name}: #{e.message}", false)
    end

    def report(out, line, well)
      out.puts line
      well
    end

    def request(name)
      limits = Limits.new(open: @config.open_timeout, read: 5, write: 5, deadline: Deadline.after(5))
      headers = Headers.from_context(Context.new, name, @config)
      Request.new(name, "HEAD", "/", headers, RequestBody.of("", announced: false), limits)
    end
  end
end
