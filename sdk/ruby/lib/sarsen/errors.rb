# SPDX-License-Identifier: Apache-2.0
# frozen_string_literal: true

# What can go wrong between this process and the gateway.
#
# Each error knows the status and the code a client is answered with. The message is for the log: it may name sockets and
# addresses. What a client reads is `public_message`, which names the service only.
module Sarsen
  class Error < StandardError
    # The service the request was for, and the gateway's own answer where there was one.
    attr_accessor :service, :response

    def status
      500
    end

    def code
      "SARSEN_ERROR"
    end

    def public_message
      "the request could not be forwarded"
    end

    def to_json_body
      JSON.generate("errors" => [{ "message" => public_message, "extensions" => { "code" => code } }])
    end

    private

    def subject
      service || "the service"
    end
  end

  # The settings are wrong. Never answered to a client: it is a bug of the application, and raised as one.
  class ConfigurationError < Error
  end

  # Nobody listens, or nobody may be asked: refused, no such socket, unknown host.
  class Unavailable < Error
    def status
      503
    end

    def code
      "SERVICE_UNAVAILABLE"
    end

    def public_message
      "#{subject} is unavailable"
    end
  end

  # As many requests as `concurrency` allows are with this service already; this one was not sent.
  class Busy < Unavailable
    def code
      "SERVICE_BUSY"
    end

    def public_message
      "#{subject} is busy"
    end
  end

  # The connection broke, or what came back is not HTTP.
  class BadGateway < Error
    def status
      502
    end

    def code
      "BAD_GATEWAY"
    end

    def public_message
      "#{subject} gave no valid answer"
    end
  end

  # No connection, no byte, or no whole answer in time.
  class Timeout < Error
    def status
      504
    end

    def code
      "GATEWAY_TIMEOUT"
    end

    def public_message
      "#{subject} did not answer in time"
    end
  end

  # The client's request cannot be carried: its body ended early, or it asks for a protocol this path does not speak.
  class BadRequest < Error
    def status
      400
    end

    def code
      "BAD_REQUEST"
    end

    def public_message
      message
    end
  end
end
