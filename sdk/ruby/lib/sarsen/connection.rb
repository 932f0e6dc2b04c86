# SPDX-License-Identifier: Apache-2.0
# frozen_string_literal: true

require "socket"
require "io/wait"

module Sarsen
  # One socket to the gateway, with a time limit on everything that can wait, and the bytes that came in but were not used.
  # It knows nothing of HTTP. One thread uses it at a time; the pool sees to that.
  class Connection
    READ_SIZE = 65_536
    RETRY_PAUSE = 0.005

    attr_reader :buffer
    attr_accessor :idle_since

    def self.open(address, limits)
      socket = address.path ? open_unix(address.path, limits) : open_tcp(address, limits)
      new(socket)
    rescue Errno::ETIMEDOUT, Errno::EAGAIN => e
      raise Timeout, "#{address}: #{e.message}"
    rescue SystemCallError, SocketError, ArgumentError => e
      raise Unavailable, "#{address}: #{e.message}"
    end

    def self.open_tcp(address, limits)
      socket = Socket.tcp(address.host.delete("[]"), address.port, connect_timeout: limits.seconds(:open))
      # Head and body may be two writes; with Nagle's algorithm the second waits for the first one's acknowledgement.
      socket.setsockopt(Socket::IPPROTO_TCP, Socket::TCP_NODELAY, 1)
      socket
    end

    def self.open_unix(path, limits)
      return UNIXSocket.new(path) if RUBY_ENGINE == "jruby"

      deadline = Deadline.after(limits.seconds(:open))
      socket = Socket.new(:UNIX, :STREAM)
      begin
        socket.connect_nonblock(Socket.sockaddr_un(path))
      rescue Errno::EAGAIN
        # The listener's backlog is full. A unix socket gives no event for that, so asking again is the only way.
        raise if deadline.passed?

        sleep RETRY_PAUSE
        retry
      end
      socket
    rescue StandardError
      socket&.close
      raise
    end
    private_class_method :open_tcp, :open_unix

    def initialize(socket)
      @socket = socket
      @buffer = String.new(encoding: Encoding::BINARY)
      @idle_since = nil
    end

    # Writes all of it. Returns what is left when the gateway answered before it had everything, else nil.
    def write(bytes, limits)
      until bytes.empty?
        written = @socket.write_nonblock(bytes, exception: false)
        if written == :wait_writable
          return bytes if wait_writable(limits) == :readable
        else
          bytes = bytes.byteslice(written, bytes.bytesize - written)
        end
      end
      nil
    end

    # Waits for more bytes. False at the end of the stream.
    def fill(limits)
      seconds = limits.seconds(:read)
      raise Timeout, "no byte from the gateway for #{seconds.round(3)} s" unless @socket.wait_readable(seconds)

      fill_nonblock != :end
    end

    # Takes what is there without waiting: :more, :nothing or :end.
    def fill_nonblock
      piece = @socket.read_nonblock(READ_SIZE, exception: false)
      case piece
      when :wait_readable then :nothing
      when nil then :end
      else
        @buffer << piece
        :more
      end
    end

    # A kept socket that has something to read is closed at the other end or carries bytes nobody asked for.
    def stale?
      !@buffer.empty? || @socket.wait_readable(0) ? true : false
    rescue SystemCallError, IOError
      true
    end

    def close
      @socket.close
    rescue SystemCallError, IOError
      nil
    end

    private

    # A server may answer and stop reading while we still send; waiting for it to read on would be waiting for ever.
    def wait_writable(limits)
      seconds = limits.seconds(:write)
      readable, writable = IO.select([@socket], [@socket], nil, seconds)
      return :writable if writable && !writable.empty?
      return :readable if readable && !readable.empty?

      raise Timeout, "the gateway took no byte for #{seconds.round(3)} s"
    end
  end
end
