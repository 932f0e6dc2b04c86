# SPDX-License-Identifier: Apache-2.0
# frozen_string_literal: true

require "socket"
require "tmpdir"

# A gateway that does what a test says, on a real socket. The block runs once for each connection, in a thread of its own,
# and may write whatever bytes it likes; without a block every request is answered with 200 and its own head and body.
class Gateway
  GRACE = RUBY_ENGINE == "jruby" ? 0.05 : 5

  Received = Struct.new(:verb, :target, :headers, :body) do
    def [](name)
      headers[name]
    end
  end

  # One accepted connection, from the server's side.
  class Peer
    attr_reader :number, :socket

    def initialize(socket, number, gateway)
      @socket = socket
      @number = number
      @gateway = gateway
    end

    # The next request, or nil when the client closed. Bodies by length and chunked.
    def request
      head = @socket.gets("\r\n\r\n")
      return nil unless head&.end_with?("\r\n\r\n")

      first, *lines = head.chomp("\r\n\r\n").split("\r\n")
      method, target, = first.split
      headers = lines.to_h { |line| line.split(": ", 2) }
      received = Received.new(method, target, headers, body(headers))
      @gateway.requests << received
      received
    end

    def write(*pieces)
      pieces.each { |piece| @socket.write(piece) }
      @socket.flush
    end

    def answer(text = "", status: 200, fields: { "Content-Type" => "application/json" })
      lines = fields.flat_map { |name, values| Array(values).map { |value| "#{name}: #{value}\r\n" } }.join
      write("HTTP/1.1 #{status} Whatever\r\n#{lines}Content-Length: #{text.bytesize}\r\n\r\n#{text}")
    end

    # Answers every request of this connection with the block's answer.
    def serve
      while (received = request)
        yield received
      end
    end

    def closed_by_client?
      @socket.read.to_s.empty?
    rescue SystemCallError
      true
    end

    private

    def body(headers)
      return @socket.read(headers["content-length"].to_i) unless headers["transfer-encoding"]

      text = +""
      while (size = @socket.gets("\r\n").to_i(16)).positive?
        text << @socket.read(size)
        @socket.read(2)
      end
      @socket.gets("\r\n")
      text
    end
  end

  attr_reader :requests, :address, :connections

  def initialize(kind = :unix, &script)
    @script = script || ->(peer) { peer.serve { |received| peer.answer(Gateway.echo(received)) } }
    @requests = Queue.new
    @connections = 0
    @threads = []
    @peers = []
    @server, @address = kind == :tcp ? listen_tcp : listen_unix
    @acceptor = Thread.new { accept }
  end

  def self.echo(received)
    JSON.generate("method" => received.verb, "target" => received.target, "headers" => received.headers,
                  "body" => received.body.to_s.dup.force_encoding("UTF-8").scrub("?"))
  end

  # The oldest request not looked at yet; waits for it.
  def received
    Timeout.timeout(5) { @requests.pop }
  end

  # JRuby may not wake a thread that is killed inside accept or read; such a thread holds nothing a later test could meet.
  def stop
    @acceptor.kill.join(GRACE)
    @server.close
    @peers.each { |peer| close(peer) }
    @threads.each { |thread| thread.kill.join(GRACE) }
    FileUtils.remove_entry(@folder) if @folder
  end

  private

  def listen_tcp
    server = TCPServer.new("127.0.0.1", 0)
    [server, "http://127.0.0.1:#{server.addr[1]}"]
  end

  def listen_unix
    @folder = Dir.mktmpdir("sarsen")
    path = File.join(@folder, "gateway.sock")
    [UNIXServer.new(path), "unix://#{path}"]
  end

  def accept
    loop do
      socket = @server.accept
      @connections += 1
      @peers << socket
      @threads << Thread.new(socket, @connections) { |one, number| run(one, number) }
    end
  end

  def run(socket, number)
    @script.call(Peer.new(socket, number, self))
  rescue SystemCallError, IOError
    nil
  ensure
    close(socket)
  end

  def close(socket)
    socket.close
  rescue SystemCallError, IOError
    nil
  end
end
