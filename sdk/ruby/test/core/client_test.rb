# SPDX-License-Identifier: Apache-2.0
# frozen_string_literal: true

require_relative "../test_helper"

# The connection, its reuse, its time limits: Sarsen.call against a gateway that misbehaves in every way we know.
class ClientTest < SarsenTest
  OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

  def get(path = "/", **options)
    Sarsen.call("orders", :get, path, **options)
  end

  %i[unix tcp].each do |kind|
    define_method("test_a_request_and_its_answer_over_#{kind}") do
      server = gateway(kind)
      echo = Sarsen.call("orders", :post, "/a?b=c", body: "hello").json
      assert_equal ["POST", "/a?b=c", "hello"], echo.values_at("method", "target", "body")
      assert_equal "orders", echo["headers"]["sarsen-service"]
      assert_equal kind == :unix ? "localhost" : server.address.delete_prefix("http://"), echo["headers"]["host"]
    end
  end

  def test_one_connection_serves_one_request_after_another
    server = gateway
    5.times { get }
    assert_equal 1, server.connections
    assert_equal 1, pool.idle_count
  end

  def test_ten_threads_get_their_own_answers
    server = gateway
    wrong = Array.new(10) do |thread|
      Thread.new { (0...40).count { |n| get("/#{thread}/#{n}").json["target"] != "/#{thread}/#{n}" } }
    end.sum(&:value)
    assert_equal 0, wrong
    assert_operator server.connections, :<=, 10
  end

  def test_nothing_is_added_that_was_not_asked_for
    gateway
    names = get.json["headers"].keys
    assert_equal %w[accept-encoding host sarsen-deadline sarsen-service traceparent x-request-id], names.sort
  end

  def test_a_head_request_does_not_wait_for_a_body
    gateway { |peer| peer.serve { peer.write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n") } }
    assert_equal "1000", Sarsen.call("orders", :head, "/")["content-length"]
    assert_equal 1, pool.idle_count
  end

  def test_interim_answers_are_skipped
    gateway_of("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n#{OK}")
    assert_equal "ok", get.text
  end

  def test_a_switch_of_protocols_is_no_answer
    gateway_of("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n")
    assert_raises(Sarsen::BadGateway) { get }
  end

  def test_a_connection_with_bytes_left_over_is_not_used_again
    server = gateway { |peer| peer.serve { peer.write("#{OK}HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother") } }
    3.times { assert_equal "ok", get.text }
    assert_equal 3, server.connections
  end

  def test_bytes_that_arrive_on_an_idle_connection_spoil_it
    go = Queue.new
    written = Queue.new
    server = gateway do |peer|
      peer.serve do
        peer.write(OK)
        go.pop
        peer.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother")
        written << true
      end
    end
    assert_equal "ok", get.text
    go << true
    written.pop
    assert_equal "ok", get.text
    assert_equal 2, server.connections
  end

  def test_connection_close_and_http10_end_the_connection
    ["HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
     "HTTP/1.1 200 OK\r\n\r\nok"].each do |bytes|
      gateway_of(bytes)
      assert_equal "ok", get.text
      assert_equal 0, pool.idle_count
    end
  end

  def test_an_old_connection_is_closed_instead_of_used
    Sarsen.config.idle_timeout = 0
    server = gateway
    2.times { get }
    assert_equal 2, server.connections
  end

  def test_the_pool_keeps_no_more_than_its_size
    Sarsen.config.pool_size = 1
    gate = Queue.new
    gateway { |peer| peer.serve { gate.pop && peer.write(OK) } }
    threads = Array.new(3) { Thread.new { get } }
    wait_until { gate.num_waiting == 3 }
    3.times { gate << true }
    threads.each(&:join)
    assert_equal 1, pool.idle_count
  end

  # The race of rule 20: the gateway closes a kept connection just when a request is on its way.
  def closing_gateway
    gateway do |peer|
      peer.request
      peer.write(OK)
      peer.request if peer.number == 1
    end
  end

  def test_an_idempotent_request_is_sent_once_more_when_a_kept_connection_was_gone
    server = closing_gateway
    get
    assert_equal "ok", get("/again").text
    assert_equal %w[/ /again /again], Array.new(3) { server.received.target }
  end

  def test_a_post_is_never_sent_again
    server = closing_gateway
    get
    assert_raises(Sarsen::BadGateway) { Sarsen.call("orders", :post, "/pay", body: "1") }
    assert_equal 2, server.requests.size
  end

  def test_nothing_is_sent_again_on_a_new_connection
    server = gateway(&:request)
    assert_raises(Sarsen::BadGateway) { get }
    assert_equal 1, server.requests.size
  end

  def test_nothing_is_sent_again_when_an_answer_had_begun
    server = gateway do |peer|
      peer.request
      peer.write(OK)
      peer.request && peer.write("HTTP/1.1 2")
    end
    get
    assert_raises(Sarsen::BadGateway) { get }
    assert_equal 2, server.requests.size
  end

  def test_nothing_is_sent_again_after_a_timeout
    Sarsen.config.read_timeout = 0.2
    server = gateway { |peer| peer.serve { |received| peer.write(OK) if received.target == "/" } }
    get
    took = seconds { assert_raises(Sarsen::Timeout) { get("/slow") } }
    assert_equal 2, server.requests.size
    assert_in_delta 0.2, took, 0.15
  end

  def test_the_deadline_bounds_an_answer_that_trickles
    gateway do |peer|
      peer.request
      peer.write("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
      loop do
        peer.write("x")
        IO.select(nil, nil, nil, 0.02)
      end
    end
    took = seconds { assert_raises(Sarsen::Timeout) { get("/", timeout: 0.3) } }
    assert_in_delta 0.3, took, 0.2
    assert_equal 0, pool.idle_count
  end

  def test_writing_has_a_time_limit
    Sarsen.config.write_timeout = 0.2
    hold = Queue.new
    gateway { hold.pop }
    took = seconds { assert_raises(Sarsen::Timeout) { Sarsen.call("orders", :post, "/", body: "x" * 8_000_000) } }
    assert_in_delta 0.2, took, 0.2
  end

  def test_an_early_answer_ends_the_sending
    gateway do |peer|
      peer.socket.readpartial(100)
      peer.write("HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig")
      peer.closed_by_client?
    end
    response = Sarsen.call("orders", :post, "/", body: "x" * 8_000_000)
    assert_equal [413, "big"], [response.status, response.text]
    assert_equal 0, pool.idle_count
  end

  def test_a_connection_whose_request_was_cut_short_is_not_used_again
    gateway do |peer|
      peer.socket.readpartial(100)
      peer.write(OK)
      peer.closed_by_client?
    end
    2.times { assert_equal "ok", Sarsen.call("orders", :post, "/", body: "x" * 8_000_000).text }
    assert_equal 2, @gateways.last.connections
  end

  def test_a_failed_request_closes_its_connection
    gone = Queue.new
    gateway { |peer| peer.request && gone.push(peer.closed_by_client?) }
    error = assert_raises(Sarsen::Timeout) { get("/", timeout: 0.1) }
    assert Timeout.timeout(5) { gone.pop }, error.message
  end

  def test_the_deadline_bounds_a_silence
    gateway { |peer| peer.serve { nil } }
    assert_in_delta(0.2, seconds { assert_raises(Sarsen::Timeout) { get("/", timeout: 0.2) } }, 0.15)
  end

  def test_a_deadline_that_has_passed_sends_nothing
    server = gateway
    context = Sarsen::Context.new(deadline: Sarsen::Deadline.after(0))
    Sarsen::Context.with(context) { assert_raises(Sarsen::Timeout) { get } }
    assert_equal 0, server.requests.size
  end

  def test_nobody_listening_is_unavailable
    Sarsen.config.gateway = "unix:///nonexistent/gateway.sock"
    assert_raises(Sarsen::Unavailable) { get }
    server = TCPServer.new("127.0.0.1", 0)
    port = server.addr[1]
    server.close
    Sarsen.config.gateway = "http://127.0.0.1:#{port}"
    error = assert_raises(Sarsen::Unavailable) { get }
    assert_equal "orders", error.service
  end

  def test_a_broken_answer_is_a_bad_gateway
    ["", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", "garbage\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
     "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"].each do |bytes|
      gateway_of(bytes)
      assert_raises(Sarsen::BadGateway, bytes) { get }
      assert_equal 0, pool.idle_count
    end
  end

  def test_an_answer_larger_than_the_limit_is_refused
    Sarsen.config.max_answer_size = 10
    gateway_of("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world")
    assert_raises(Sarsen::BadGateway) { get }
  end

  def test_concurrency_is_limited_for_each_service_and_refused_at_once
    Sarsen.config.concurrency = 8
    Sarsen.config.concurrency_by_service = { "orders" => 1 }
    gate = Queue.new
    gateway { |peer| peer.serve { |received| peer.answer if received.target != "/slow" || gate.pop } }
    slow = Thread.new { get("/slow") }
    wait_until { gate.num_waiting == 1 }
    took = seconds { assert_raises(Sarsen::Busy) { get } }
    assert_operator took, :<, 0.1
    assert_equal 200, Sarsen.call("catalog", :get, "/").status
    gate << true
    slow.join
    assert_equal 200, get.status
  end

  def test_a_killed_thread_gives_everything_back
    Sarsen.config.concurrency = 1
    server = gateway { |peer| peer.serve { |received| peer.answer unless received.target == "/slow" } }
    thread = Thread.new { get("/slow") }
    server.received
    thread.kill.join
    assert_equal 200, get.status
    assert_equal 2, server.connections
  end

  on_forking_ruby :test_a_forked_child_does_not_use_its_parents_sockets do
    server = gateway
    get
    children = Array.new(4) do |child|
      fork do
        wrong = (0...50).count { |n| get("/#{child}/#{n}").json["target"] != "/#{child}/#{n}" }
        exit!(wrong)
      end
    end
    assert_equal([0, 0, 0, 0], children.map { |pid| Process.wait2(pid)[1].exitstatus })
    assert_equal "/after", get("/after").json["target"]
    assert_equal 5, server.connections
  end
end
