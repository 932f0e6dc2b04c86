# SPDX-License-Identifier: Apache-2.0
# frozen_string_literal: true

require "rack"
require "time"

module Sarsen
  # A Response as Rack wants it: 1.6 and 2 take Title-Case names and cookies joined by newlines, 3 takes lower-case names and
  # cookies in an array.
  module RackAnswer
    RACK3 = Rack.release.to_i >= 3
    SPELLING = { "etag" => "ETag", "www-authenticate" => "WWW-Authenticate", "content-md5" => "Content-MD5" }.freeze

    module_function

    # [status, headers, body]. The body streams when it is large, or not all there yet.
    def build(response, env)
      [response.status, headers(response, env), body_of(response)]
    end

    def headers(response, env)
      fields = Headers.for_answer(response, env["REQUEST_METHOD"])
      bodiless = [204, 304].include?(response.status)
      named = collect(fields, bodiless)
      named[name("content-type")] ||= "application/octet-stream" unless bodiless
      stream_fields(named, response, env) unless response.body.settle(Sarsen.config.buffer_size)
      named
    end

    def name(lower)
      return lower if RACK3

      SPELLING[lower] || lower.split("-").map(&:capitalize).join("-")
    end

    def collect(fields, bodiless)
      fields.each_with_object({}) do |(lower, value), named|
        next if bodiless && lower == "content-type"

        key = name(lower)
        named[key] = lower == "set-cookie" ? cookies(named[key], value) : [named[key], value].compact.join(", ")
      end
    end

    def cookies(before, value)
      return [*before, value] if RACK3

      [before, value].compact.join("\n")
    end

    # Rack::ETag collects every body it may digest, a stream too; it leaves alone what has a Last-Modified. That date is ours
    # and new, so Rack::ConditionalGet must not answer 304 by it: the service has seen the client's condition already.
    def stream_fields(named, response, env)
      named[name("x-accel-buffering")] ||= "no" unless response["content-length"]
      return if named[name("etag")] || named[name("last-modified")]

      named[name("last-modified")] = Time.now.httpdate
      env.delete("HTTP_IF_MODIFIED_SINCE")
    end

    # One String in an Array where the body is in memory: servers send that with its length, in one write.
    def body_of(response)
      body = response.body
      return body unless body.settle(0)

      text = body.read
      text.empty? ? [] : [text]
    end

    def of_error(error, env)
      body = env["REQUEST_METHOD"] == "HEAD" ? "" : error.to_json_body
      fields = { "content-type" => "application/json; charset=utf-8", "cache-control" => "no-store" }
      fields["retry-after"] = "1" if error.is_a?(Busy)
      Response.of_text(error.status, fields, body)
    end
  end
end
