# SPDX-License-Identifier: Apache-2.0
# frozen_string_literal: true

module Sarsen
  # Carries one request to the gateway and brings the answer back.
  #
  # Sent again only when all of this holds: the socket was a kept one, nothing of an answer came, the method is idempotent, and
  # the body can be sent again. That is the race of a gateway closing an idle connection as we write to it; any other failure
  # may have reached the service. Never after a timeout, never more than once, and then on a new connection.
  class Client
    # The kept connection was gone before the answer began.
    class Gone < BadGateway
    end

    def initialize(config)
      @config = config
      @pool = Pool.new(config)
    end

    attr_reader :pool

    def exchange(request)
      raise Timeout, "the deadline had passed before the request was sent" if request.limits.deadline.passed?

      place = @pool.enter(request.service)
      response = begin
        attempt(request, @pool.take, place)
      rescue Gone
        raise unless request.idempotent? && request.body.string

        attempt(request, nil, place)
      end
      handed_over = true
      response
    rescue Error => e
      e.service ||= request.service
      raise
    ensure
      request.body.finish
      place&.leave unless handed_over
    end

    private

    def attempt(request, kept, place)
      connection = kept || Connection.open(@config.address, request.limits)
      fresh = kept.nil?
      whole = send_request(connection, request)
      head = read_head(connection, request.limits)
      response = answer(request, head, connection, place, whole)
      handed_over = true
      response
    rescue SystemCallError, IOError => e
      # Bytes of an answer in the buffer mean that the request was taken, however the connection ended.
      raise Gone, "the connection broke: #{e.message}" unless fresh || !connection.buffer.empty?

      raise BadGateway, "the connection broke: #{e.message}"
    rescue Gone => e
      raise fresh ? BadGateway.new(e.message) : e
    ensure
      connection&.close unless handed_over
    end

    # False when the gateway answered before it had taken everything; the connection is of no further use then.
    def send_request(connection, request)
      head = Http1.request_head(request, @config.address.authority)
      body = request.body
      return push(connection, head << body.string, request.limits) if body.string

      return false unless push(connection, head, request.limits)

      body.each_wire_piece { |piece| return false unless push(connection, piece, request.limits) }
      true
    rescue Errno::EPIPE, Errno::ECONNRESET
      # A gateway that refuses a large body answers and closes. The answer may be there to read, and says why.
      raise unless answer_waiting?(connection)

      false
    end

    def push(connection, bytes, limits)
      while (bytes = connection.write(bytes, limits))
        return false if connection.fill_nonblock == :end
        return false unless only_interim?(connection.buffer)
      end
      true
    end

    # While we still send, an interim answer is passed over; any other ends the sending.
    def only_interim?(buffer)
      head = true
      head = Http1.take_head(buffer) while head && buffer.start_with?("HTTP/1.1 1")
      return true unless head

      "HTTP/1.1 1".start_with?(buffer)
    end

    def answer_waiting?(connection)
      connection.fill_nonblock
      !connection.buffer.empty?
    rescue SystemCallError, IOError
      !connection.buffer.empty?
    end

    def read_head(connection, limits)
      began = false
      loop do
        while (head = Http1.take_head(connection.buffer))
          raise BadGateway, "the gateway switched protocols unasked" if head.status == 101
          return head unless head.interim?

          began = true
        end
        next if connection.fill(limits)

        text = "the gateway closed the connection without an answer"
        raise BadGateway, text if began || !connection.buffer.empty?

        raise Gone, text
      end
    end

    def answer(request, head, connection, place, whole)
      reader = Http1.body_reader(request.method, head)
      keep = whole && head.keep_alive? && reader.reusable?
      endless = streams?(head)
      limits = endless ? request.limits.open_ended(@config.stream_timeout) : request.limits
      body = WireBody.new(reader, connection, limits, endless: endless) do |clean|
        clean && keep && connection.buffer.empty? ? @pool.put(connection) : connection.close
        place.leave
      end
      Response.new(head.status, head.fields, body)
    end

    # Answers that go on for as long as there is news: server-sent events, @defer and @stream.
    def streams?(head)
      type = head.values("content-type").first.to_s.downcase
      type.start_with?("text/event-stream", "multipart/mixed", "application/x-ndjson")
    end
  end

  # An answer's body on its way in. Whoever holds it reads it to the end or closes it; both give the connection back.
  class WireBody
    def initialize(reader, connection, limits, endless: false, &on_finish)
      @endless = endless
      @tried = false
      @reader = reader
      @connection = connection
      @limits = limits
      @on_finish = on_finish
      @ready = []
      finish(true) if reader.size&.zero?
    end

    # Reads ahead what belongs in memory: a body of known size up to `limit`, or the part of another that is there already.
    # True when that was all of it. Tried once: after that, an error can no longer become an answer.
    def settle(limit)
      return @on_finish.nil? if @tried

      @tried = true
      wait = @reader.size ? @reader.size <= limit : false
      held = @ready.sum(&:bytesize)
      while @on_finish && held <= limit
        piece = advance(wait)
        break if piece == :nothing

        held += piece.bytesize if piece && @ready.push(piece)
      end
      @on_finish.nil?
    end

    def each
      yield @ready.shift until @ready.empty?
      while @on_finish && (piece = advance(true))
        yield piece
      end
    end

    # All of it as one String, at most `limit` bytes.
    def read(limit = nil)
      text = String.new(encoding: Encoding::BINARY)
      each do |piece|
        text << piece
        raise BadGateway, "the answer is larger than #{limit} bytes (max_answer_size)" if limit && text.bytesize > limit
      end
      text
    ensure
      close
    end

    # Once a body streams to a client, how long that client takes is no business of the deadline; silence of the service is.
    def open_ended(silence)
      @limits = @limits.open_ended(silence)
    end

    # Whether it goes on for as long as there is news. Its limits were set for that from the start.
    def endless?
      @endless
    end

    def close
      finish(false)
    end

    private

    # The next piece; nil at the end; :nothing when waiting would be needed and is not wanted.
    def advance(wait)
      whole = false
      loop do
        piece = @reader.take(@connection.buffer)
        whole = true
        return finish(true) if piece == :done
        return piece unless piece == :more

        whole = false
        case fetch(wait)
        when :end then @reader.eof
        when :nothing then return (whole = true) && :nothing
        end
      end
    rescue SystemCallError, IOError => e
      raise BadGateway, "the connection broke: #{e.message}"
    ensure
      # Whatever else ended this, a killed thread too: a connection in the middle of an answer serves nobody again.
      finish(false) unless whole
    end

    def fetch(wait)
      return @connection.fill_nonblock unless wait

      @connection.fill(@limits) ? :more : :end
    end

    def finish(clean)
      done = @on_finish
      @on_finish = nil
      done&.call(clean)
      nil
    end
  end
end
