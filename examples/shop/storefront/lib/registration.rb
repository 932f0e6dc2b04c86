# SPDX-License-Identifier: Apache-2.0

require "json"
require "net/http"

# This process in Sarsen's registry: register, heartbeat, drain, deregister.
class Registration
  RETRY_SECONDS = 0.2
  FAILURES = [SystemCallError, IOError, Timeout::Error, Net::ProtocolError].freeze

  def initialize(port:)
    @name = ENV.fetch("INSTANCE", "storefront-1")
    @uri = URI("#{ENV.fetch('SARSEN_ADDRESS', 'http://127.0.0.1:7000')}" \
               "/v1/services/storefront/instances/#{@name}")
    @ttl = Integer(ENV.fetch("SARSEN_TTL", "10"))
    build = File.read(File.expand_path("../VERSION", __dir__)).strip
    @body = JSON.generate(
      build: build, provides: ["storefront@#{build[/\d+/]}"], address: "127.0.0.1:#{port}",
      protocol: "http", ttl: "#{@ttl}s", meta: { language: "ruby" }
    )
  end

  def start
    @thread = Thread.new { keep }
  end

  def drain
    # A heartbeat after the deregistration would register again.
    @thread.kill.join
    call(Net::HTTP::Post, ":drain")
  end

  def deregister
    @thread.kill.join
    call(Net::HTTP::Delete)
  end

  private

  # A third of the TTL: two lost heartbeats in a row are not yet an absence.
  # A 404 means that the registry does not know us (any more).
  def keep
    registered = false
    loop do
      registered = call(Net::HTTP::Post, ":heartbeat") != 404 if registered
      unless registered
        status = call(Net::HTTP::Put, "", @body)
        registered = [200, 201].include?(status)
        log("registration of #{@uri}: status #{status}")
      end
      sleep(registered ? @ttl / 3.0 : RETRY_SECONDS)
    end
  end

  # The status of the answer, 0 when there was none.
  def call(verb, suffix = "", body = nil)
    request = verb.new(@uri.path + suffix, "Content-Type" => "application/json")
    request.body = body
    options = { open_timeout: 2, read_timeout: 2, max_retries: 0 }
    # The nil is the proxy: one named in the environment is not for loopback.
    Net::HTTP.start(@uri.host, @uri.port, nil, options) { |http| http.request(request) }.code.to_i
  rescue *FAILURES => e
    log("#{verb::METHOD} #{@uri}#{suffix}: #{e.message}")
    0
  end

  def log(text)
    $stderr.write("storefront #{Time.now.strftime('%Y/%m/%d %H:%M:%S.%6N')} #{text}\n")
  end
end
