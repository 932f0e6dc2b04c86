# SPDX-License-Identifier: Apache-2.0
# frozen_string_literal: true

require "json"
require "stringio"

module Sarsen
  # What one exchange carries to the gateway. `target` is the path and query as they go on the request line.
  class Request
    attr_reader :service, :method, :target, :headers, :body, :limits

    def initialize(service, http_method, target, headers, body, limits)
      @service = service
      @method = http_method
      @target = target
      @headers = headers
      @body = body
      @limits = limits
    end

    # Only a method that may be repeated without harm is ever sent twice (RFC 9110, section 9.2.2).
    def idempotent?
      %w[GET HEAD PUT DELETE OPTIONS TRACE].include?(method)
    end

    def path
      target[/\A[^?]*/]
    end
  end

  # A request's body: a String, or a stream that is read in pieces because it is large or because its end is not known yet.
  class RequestBody
    PIECE = 16_384
    WHOLE = 1_048_576

    # The bytes of rack.input. The length is computed, not believed: on a chunked request CONTENT_LENGTH may be absent, an
    # Integer, or wrong. Rewound before and after, because a params parser may have read it and another may want to.
    def self.from_rack(env)
      input = env["rack.input"]
      return new("") if input.nil?

      rewind(input)
      head = read(input, WHOLE + 1)
      return settled(head, env, input) if head.bytesize <= WHOLE

      new(head, rest: input, size: stream_size(input, env))
    end

    def self.of(text, announced: true)
      new(text.to_s.b, announced: announced)
    end

    def self.rewind(input)
      input.rewind if input.respond_to?(:rewind)
    rescue Errno::ESPIPE
      nil
    end

    def self.read(input, count)
      bytes = String.new(encoding: Encoding::BINARY)
      while bytes.bytesize < count
        piece = input.read(count - bytes.bytesize)
        break if piece.nil? || piece.empty?

        bytes << piece
      end
      bytes
    end

    def self.settled(bytes, env, input)
      rewind(input)
      new(bytes, announced: !env["CONTENT_LENGTH"].to_s.empty? || %w[POST PUT PATCH].include?(env["REQUEST_METHOD"]))
    end

    def self.stream_size(input, env)
      return input.size if input.respond_to?(:size)

      text = env["CONTENT_LENGTH"].to_s
      /\A\d{1,18}\z/.match?(text) ? text.to_i : nil
    end
    private_class_method :rewind, :read, :settled, :stream_size

    # nil when only the end of the stream will tell.
    attr_reader :size

    def initialize(bytes, rest: nil, size: bytes.bytesize, announced: true)
      @bytes = bytes
      @rest = rest
      @size = size
      @announced = announced
    end

    # Whether an empty body is announced with content-length: 0. A GET without a body says nothing, as the client did.
    def announced?
      @announced
    end

    # All of it when it is in memory, else nil.
    def string
      @rest ? nil : @bytes
    end

    # Gives the pieces as they go on the wire, framed when the length is unknown.
    def each_wire_piece
      sent = 0
      each_piece do |piece|
        sent += piece.bytesize
        raise BadRequest, "the request's body is longer than it said" if @size && sent > @size

        yield @size ? piece : "#{piece.bytesize.to_s(16)}\r\n".b << piece << "\r\n"
      end
      raise BadRequest, "the request's body ended early" if @size && sent < @size

      yield "0\r\n\r\n" unless @size
    end

    # Leaves the input as it was found.
    def finish
      @rest.rewind if @rest.respond_to?(:rewind)
    rescue Errno::ESPIPE
      nil
    end

    # For a stub, which wants to look at it.
    def to_s
      return @bytes unless @rest

      text = @bytes.dup
      while (piece = @rest.read(PIECE))
        text << piece
      end
      finish
      text
    end

    private

    def each_piece
      offset = 0
      while offset < @bytes.bytesize
        yield @bytes.byteslice(offset, PIECE)
        offset += PIECE
      end
      while @rest && (piece = @rest.read(PIECE)) && !piece.empty?
        yield piece.b
      end
    end
  end

  # What came back. Names are lower-case; `headers` keeps every field in its order, `[]` joins those of one name.
  class Response
    attr_accessor :status
    attr_reader :headers, :body

    def initialize(status, headers, body)
      @status = status
      @headers = headers
      @body = body
    end

    def self.of_text(status, fields, text)
      new(status, fields.map { |name, value| [name.to_s.downcase, value.to_s] }, TextBody.new(text))
    end

    def [](name)
      name = name.downcase
      found = @headers.each_with_object([]) { |(key, value), values| values << value if key == name }
      found.join(name == "set-cookie" ? "\n" : ", ") unless found.empty?
    end

    def []=(name, value)
      name = name.downcase
      @headers.reject! { |key, _| key == name }
      @headers << [name, value.to_s] unless value.nil?
    end

    # The whole body, read once.
    def text
      @text ||= @body.read
    end

    def json
      JSON.parse(text)
    end

    def success?
      (200..299).cover?(status)
    end

    # An answer the gateway itself gave because it could not reach the service (RFC 9457).
    def problem?
      self["content-type"].to_s.start_with?("application/problem+json")
    end
  end

  # A body that is in memory.
  class TextBody
    def initialize(text)
      @text = text.to_s
    end

    def read(_limit = nil)
      @text
    end

    def each
      yield @text unless @text.empty?
    end

    def settle(_limit)
      true
    end

    def close; end
  end
end
