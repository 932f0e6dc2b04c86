# SPDX-License-Identifier: Apache-2.0
# frozen_string_literal: true

module Sarsen
  # HTTP/1.1 as a client speaks it (RFC 9112): bytes to heads and bodies, and back. Pure: no sockets and no clocks here.
  #
  # It is strict, because what we are lenient about, another parser on the way may read otherwise. Everything a peer can make
  # us hold has a limit. A violation raises BadGateway, and the connection it came on is never used again.
  module Http1
    MAX_HEAD = 65_536
    MAX_FIELDS = 200
    MAX_CHUNK_LINE = 4096
    MAX_CHUNK_DIGITS = 15
    MAX_TRAILERS = 16_384

    TOKEN = /\A[!#$%&'*+\-.^_`|~0-9A-Za-z]+\z/.freeze
    STATUS_LINE = %r{\AHTTP/1\.([01]) ([1-9]\d\d)(?: [^\r\n\0]*)?\z}n.freeze
    FIELD = /\A([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\r\n\0]*?)[ \t]*\z/n.freeze

    Head = Struct.new(:minor, :status, :fields) do
      def values(name)
        fields.each_with_object([]) { |(key, value), found| found << value if key == name }
      end

      def tokens(name)
        values(name).flat_map { |value| value.downcase.split(",") }.map(&:strip)
      end

      def keep_alive?
        tokens = tokens("connection")
        return false if tokens.include?("close")

        minor == 1 || tokens.include?("keep-alive")
      end

      def interim?
        status < 200
      end
    end

    module_function

    # The bytes of a request's head. The fields were cleaned by Headers; a method that is no token is refused here because it
    # may come from Sarsen.call.
    def request_head(request, authority)
      raise ArgumentError, "#{request.method.inspect} is no HTTP method" unless TOKEN.match?(request.method)

      head = String.new("#{request.method} #{request.target} HTTP/1.1\r\nhost: #{authority}\r\n", encoding: Encoding::BINARY)
      request.headers.each { |name, value| head << name.b << ": " << value.to_s.b << "\r\n" }
      head << framing_field(request) << "\r\n"
    end

    def framing_field(request)
      body = request.body
      return "transfer-encoding: chunked\r\n" if body.size.nil?
      return "content-length: #{body.size}\r\n" if body.size.positive? || body.announced?

      ""
    end

    # Takes one head off the front of the buffer, or returns nil when it is not complete yet.
    def take_head(buffer)
      stop = buffer.index("\r\n\r\n")
      if stop.nil? || stop > MAX_HEAD
        raise BadGateway, "the answer's head is larger than #{MAX_HEAD} bytes" if buffer.bytesize > MAX_HEAD

        return check_start(buffer)
      end

      lines = buffer.slice!(0, stop + 4).split("\r\n")
      minor, status = status_line(lines.shift.to_s)
      raise BadGateway, "the answer has more than #{MAX_FIELDS} fields" if lines.size > MAX_FIELDS

      Head.new(minor, status, lines.map { |line| field(line) })
    end

    # What cannot become a status line is refused at once, instead of waiting until the limit or the timeout.
    def check_start(buffer)
      start = buffer.byteslice(0, 7)
      return if "HTTP/1.".start_with?(start)

      raise BadGateway, "the answer is not HTTP/1.1: it starts with #{start.inspect}"
    end

    def status_line(line)
      match = STATUS_LINE.match(line)
      raise BadGateway, "the status line is #{line[0, 60].inspect}" unless match

      [match[1].to_i, match[2].to_i]
    end

    def field(line)
      match = FIELD.match(line)
      raise BadGateway, "a header line is #{line[0, 60].inspect}" unless match

      [match[1].downcase, match[2]]
    end

    # Who says where the body ends (RFC 9112, section 6.3).
    def body_reader(request_method, head)
      return Sized.new(0) if request_method == "HEAD" || [204, 304].include?(head.status)

      encodings = head.tokens("transfer-encoding")
      lengths = head.values("content-length").flat_map { |value| value.empty? ? [""] : value.split(",", -1).map(&:strip) }.uniq
      return sized_or_until_close(lengths) if encodings.empty?

      raise BadGateway, "the answer has both a length and a transfer encoding" unless lengths.empty?
      raise BadGateway, "the answer's transfer encoding is #{encodings.join(', ')[0, 60].inspect}" unless encodings == ["chunked"]
      raise BadGateway, "an HTTP/1.0 answer is chunked" if head.minor.zero?

      Chunked.new
    end

    def sized_or_until_close(lengths)
      return UntilClose.new if lengths.empty?
      unless lengths.size == 1 && /\A\d{1,18}\z/.match?(lengths.first)
        raise BadGateway, "the answer's length is #{lengths.join(', ')[0, 60].inspect}"
      end

      Sized.new(lengths.first.to_i)
    end

    # The readers share one shape: `take` gives the next piece of the body from the buffer, :more when it needs more bytes,
    # :done at the end; `eof` says what it means that the stream ended; `size` is known or nil.
    class Sized
      attr_reader :size

      def initialize(size)
        @size = size
        @left = size
      end

      def take(buffer)
        return :done if @left.zero?
        return :more if buffer.empty?

        piece = buffer.slice!(0, @left)
        @left -= piece.bytesize
        piece
      end

      def eof
        raise BadGateway, "the answer ended #{@left} bytes early"
      end

      def reusable?
        true
      end
    end

    class UntilClose
      def initialize
        @ended = false
      end

      def size
        nil
      end

      def take(buffer)
        return buffer.slice!(0, buffer.bytesize) unless buffer.empty?

        @ended ? :done : :more
      end

      def eof
        @ended = true
      end

      def reusable?
        false
      end
    end

    # RFC 9112, section 7.1. Extensions are skipped, trailers are checked and dropped.
    class Chunked
      def initialize
        @state = :size
        @left = 0
        @trailers = 0
      end

      def size
        nil
      end

      def reusable?
        true
      end

      def eof
        raise BadGateway, "the chunked answer ended early"
      end

      def take(buffer)
        loop do
          case @state
          when :done then return :done
          when :data then return data(buffer)
          else
            return :more unless (line = line(buffer))

            advance(line)
          end
        end
      end

      private

      def data(buffer)
        return :more if buffer.empty?

        piece = buffer.slice!(0, @left)
        @left -= piece.bytesize
        @state = :data_end if @left.zero?
        piece
      end

      def advance(line)
        case @state
        when :size then chunk_size(line)
        when :data_end
          raise BadGateway, "a chunk is longer than it says" unless line.empty?

          @state = :size
        when :trailer then trailer(line)
        end
      end

      def chunk_size(line)
        match = /\A([0-9a-fA-F]+)[ \t]*(?:;[^\r\n\0]*)?\z/n.match(line)
        raise BadGateway, "a chunk size is #{line[0, 40].inspect}" if match.nil? || match[1].size > MAX_CHUNK_DIGITS

        @left = match[1].to_i(16)
        @state = @left.zero? ? :trailer : :data
      end

      def trailer(line)
        return @state = :done if line.empty?

        Http1.field(line)
        @trailers += line.bytesize
        raise BadGateway, "the trailers are larger than #{MAX_TRAILERS} bytes" if @trailers > MAX_TRAILERS
      end

      def line(buffer)
        stop = buffer.index("\r\n")
        if (stop || buffer.bytesize) > MAX_CHUNK_LINE
          raise BadGateway, "a line between chunks is longer than #{MAX_CHUNK_LINE} bytes"
        end

        stop && buffer.slice!(0, stop + 2).chomp("\r\n")
      end
    end
  end
end
