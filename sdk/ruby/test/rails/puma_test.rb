# SPDX-License-Identifier: Apache-2.0
# frozen_string_literal: true

require_relative "../test_helper"

# The Rails application under a real Puma: forked workers, streams, clients that go away.
class PumaTest < Minitest::Test
  RACKUP = File.expand_path("../support/config.ru", __dir__)

  def teardown
    if @puma
      Process.kill(:TERM, @puma)
      Process.wait(@puma)
    end
    @gateway&.stop
    FileUtils.remove_entry(@folder) if @folder
  end

  def start_puma(workers:, &script)
    @gateway = Gateway.new(&script)
    @folder = Dir.mktmpdir("puma")
    @socket = File.join(@folder, "puma.sock")
    settings = File.join(@folder, "puma.rb")
    File.write(settings, "workers #{workers}\nthreads 2, 2\n#{'preload_app!' if workers.positive?}\nbind 'unix://#{@socket}'\n" \
                         "rackup '#{RACKUP}'\nenvironment 'production'\n")
    environment = { "SARSEN_GATEWAY" => @gateway.address, "RAILS_ENV" => "production" }
    @log = File.join(@folder, "log")
    @puma = spawn(environment, "puma", "-C", settings, out: @log, err: @log, pgroup: true)
    wait_for_puma
  end

  def wait_for_puma
    deadline = Sarsen::Deadline.after(20)
    begin
      UNIXSocket.new(@socket).close
    rescue SystemCallError
      raise "Puma did not start: #{File.read(@log)}" if deadline.passed? || Process.wait(@puma, Process::WNOHANG)

      IO.select(nil, nil, nil, 0.02)
      retry
    end
  end

  def request(text, path = "/graphql", version: "1.1")
    socket = UNIXSocket.new(@socket)
    socket.write("POST #{path} HTTP/#{version}\r\nHost: shop\r\nConnection: close\r\nContent-Type: application/json\r\n" \
                 "Content-Length: #{text.bytesize}\r\n\r\n#{text}")
    socket
  end

  def body(socket)
    head, text = socket.read.split("\r\n\r\n", 2)
    [head[/\AHTTP\S+ (\d+)/, 1], text]
  ensure
    socket.close
  end

  def test_forked_workers_get_their_own_answers
    start_puma(workers: 4)
    right = Array.new(8) do |client|
      Thread.new do
        (0...50).count do |n|
          text = JSON.generate("id" => "#{client}-#{n}")
          status, answer = body(request(text, version: "1.0"))
          status == "200" && JSON.parse(answer)["body"] == text
        end
      end
    end.sum(&:value)
    assert_equal 400, right
  end

  def streaming(steps)
    lambda do |peer|
      peer.serve do |received|
        next peer.answer unless received.target == "/graphql"

        peer.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        while (text = steps.pop)
          peer.write("#{text.bytesize.to_s(16)}\r\n#{text}\r\n")
        end
        peer.write("0\r\n\r\n")
      end
    end
  end

  def test_a_stream_reaches_the_client_while_it_goes_on
    steps = Queue.new
    start_puma(workers: 0, &streaming(steps))
    client = request("{}")
    steps << "data: one\n\n"
    text = +""
    Timeout.timeout(10) { text << client.readpartial(1000) until text.include?("data: one") }
    assert_match(/^X-Accel-Buffering: no\r$/i, text)
    steps << "data: two\n\n" << nil
    assert_includes client.read, "data: two"
  ensure
    client&.close
  end

  def test_a_client_that_goes_away_frees_the_gateway
    steps = Queue.new
    gone = Queue.new
    stream = streaming(steps)
    start_puma(workers: 0) do |peer|
      stream.call(peer)
    rescue SystemCallError => e
      gone << e
    end
    client = request("{}")
    steps << "data: one\n\n"
    client.readpartial(10)
    client.close
    feeder = Thread.new { loop { (steps << "data: more\n\n") && Thread.pass } }
    assert_kind_of SystemCallError, Timeout.timeout(10) { gone.pop }
  ensure
    feeder&.kill
  end
end
