# SPDX-License-Identifier: Apache-2.0
# frozen_string_literal: true

require_relative "../test_helper"

# What passes from a Rack request to the service, and back: the endpoint and the middleware, without Rails.
class ForwardCoreTest < SarsenTest
  def endpoint(*args, **options)
    Sarsen::Endpoint.new(args.first || "orders", **options)
  end

  # Sends a request through the endpoint and gives what the gateway received.
  def forwarded(path = "/graphql", env = {})
    server = @gateways.last || gateway
    env = { method: "POST", rack_app: endpoint }.merge(env)
    Rack::MockRequest.new(env.delete(:rack_app)).request(env.delete(:method), path, env)
    server.received
  end

  def answered(bytes)
    gateway_of(bytes)
    Rack::MockRequest.new(endpoint).get("/graphql")
  end

  # -- the request ----------------------------------------------------------------------------------------------------------

  def test_the_bytes_pass_untouched
    text = %({"query":"{ä}","ids":[],"tags":[null]}\0\xff)
    received = forwarded("/graphql?a=%2F&b[]=1", :input => text, "CONTENT_TYPE" => "application/json")
    assert_equal ["POST", "/graphql?a=%2F&b[]=1"], [received.verb, received.target]
    assert_equal text.b, received.body.b
    assert_equal text.bytesize.to_s, received["content-length"]
    assert_equal "application/json", received["content-type"]
  end

  def test_the_length_is_that_of_the_bytes_whatever_the_header_says
    ["3", 3, nil, "999"].each do |length|
      received = forwarded("/", :input => "hello", "CONTENT_LENGTH" => length)
      assert_equal "hello", received.body
    end
  end

  def test_an_input_that_was_read_already_is_read_again_and_left_rewound
    input = StringIO.new("hello")
    input.read
    gateway
    Sarsen::Endpoint.new("orders").call(Rack::MockRequest.env_for("/", method: "POST").merge("rack.input" => input))
    assert_equal "hello", @gateways.last.received.body
    assert_equal "hello", input.read
  end

  def test_a_large_body_streams_in_pieces
    text = Random.new(1).bytes(3_000_000)
    assert_equal text, forwarded("/upload", input: text).body
  end

  # A stream without a size, as a Rack 3 server gives it.
  class Unsized
    def initialize(text)
      @io = StringIO.new(text)
    end

    def read(*args)
      @io.read(*args)
    end
  end

  def test_a_large_body_of_unknown_length_goes_chunked
    gateway
    env = Rack::MockRequest.env_for("/", method: "POST").merge("rack.input" => Unsized.new("y" * 2_000_000))
    env.delete("CONTENT_LENGTH")
    Sarsen::Endpoint.new("orders").call(env)
    received = @gateways.last.received
    assert_equal "chunked", received["transfer-encoding"]
    assert_equal 2_000_000, received.body.size
  end

  def test_a_body_that_ends_early_is_a_bad_request
    gateway
    env = Rack::MockRequest.env_for("/", method: "POST").merge("rack.input" => Unsized.new("y" * 2_000_000))
    env["CONTENT_LENGTH"] = "3000000"
    assert_equal 400, Sarsen::Endpoint.new("orders").call(env)[0]
  end

  def test_hop_by_hop_fields_stay_here
    received = forwarded("/", "HTTP_CONNECTION" => "close, X-Secret", "HTTP_X_SECRET" => "1", "HTTP_KEEP_ALIVE" => "1",
                              "HTTP_PROXY_AUTHORIZATION" => "x", "HTTP_TE" => "trailers", "HTTP_EXPECT" => "100-continue",
                              "HTTP_UPGRADE" => "h2c", "HTTP_TRANSFER_ENCODING" => "chunked", "HTTP_X_KEPT" => "1")
    unwanted = %w[connection x-secret keep-alive proxy-authorization te expect upgrade transfer-encoding]
    assert_empty received.headers.keys & unwanted
    assert_equal "1", received["x-kept"]
  end

  def test_a_client_cannot_speak_for_sarsen
    Sarsen.config.trusted_headers += %w[X-My-Company-Id]
    received = forwarded("/", "HTTP_SARSEN_CUSTOMER" => "globex", "HTTP_SARSEN_SERVICE" => "admin",
                              "HTTP_SARSEN_DEADLINE" => "999999", "HTTP_X_MY_COMPANY_ID" => "7", "REMOTE_ADDR" => "192.0.2.1",
                              "HTTP_BAGGAGE" => "sarsen.customer=globex, a=1, SARSEN.bom=x, sarsen%2Ebom=y,b=2;p")
    assert_equal "orders", received["sarsen-service"]
    assert_nil received["sarsen-customer"]
    assert_nil received["x-my-company-id"]
    assert_operator received["sarsen-deadline"].to_i, :<=, 30_000
    assert_equal "a=1,b=2;p", received["baggage"]
  end

  def test_a_trusted_peer_is_believed_for_baggage_and_deadline
    received = forwarded("/", "REMOTE_ADDR" => "127.0.0.1", "HTTP_BAGGAGE" => "sarsen.bom=b7k2q,sarsen.customer=acme",
                              "HTTP_SARSEN_DEADLINE" => "500", "HTTP_SARSEN_CUSTOMER" => "globex")
    assert_equal "sarsen.bom=b7k2q,sarsen.customer=acme", received["baggage"]
    assert_operator received["sarsen-deadline"].to_i, :<=, 500
    assert_nil received["sarsen-customer"]
  end

  def test_baggage_of_another_customer_than_the_sessions_is_not_believed
    Sarsen.config.identity = ->(env) { env["rack.session"]["customer"] }
    env = { "REMOTE_ADDR" => "127.0.0.1", "rack.session" => { "customer" => "acme" } }
    received = forwarded("/", env.merge("HTTP_BAGGAGE" => "sarsen.bom=x,sarsen.customer=globex,a=1"))
    assert_equal ["acme", "a=1"], [received["sarsen-customer"], received["baggage"]]
    received = forwarded("/", env.merge("HTTP_BAGGAGE" => "sarsen.bom=x,sarsen.customer=acme,a=1"))
    assert_equal "sarsen.bom=x,sarsen.customer=acme,a=1", received["baggage"]
  end

  def test_line_breaks_cannot_be_smuggled_in
    received = forwarded("/", "HTTP_X_A" => "1\r\nSarsen-Customer: globex", "QUERY_STRING" => "a=1 HTTP/1.1\r\nX: y")
    assert_equal "1Sarsen-Customer: globex", received["x-a"]
    assert_equal "/?a=1%20HTTP/1.1%0D%0AX:%20y", received.target
  end

  def test_forwarded_fields_grow
    received = forwarded("http://shop.example/a", "REMOTE_ADDR" => "10.0.0.9", "HTTP_X_FORWARDED_FOR" => "1.2.3.4",
                                                  "HTTP_HOST" => "shop.example", "rack.url_scheme" => "https")
    assert_equal "1.2.3.4, 10.0.0.9", received["x-forwarded-for"]
    assert_equal %w[shop.example https], [received["x-forwarded-host"], received["x-forwarded-proto"]]
    assert_equal "localhost", received["host"]
  end

  def test_cookies_stay_here_unless_asked_for
    assert_nil forwarded("/", "HTTP_COOKIE" => "s=1")["cookie"]
    assert_equal "s=1", forwarded("/", :rack_app => endpoint(cookies: true), "HTTP_COOKIE" => "s=1")["cookie"]
  end

  def test_encodings_the_client_takes_are_named_else_identity
    assert_equal "identity", forwarded["accept-encoding"]
    assert_equal "gzip, br", forwarded("/", "HTTP_ACCEPT_ENCODING" => "gzip, br")["accept-encoding"]
  end

  def test_named_fields_win_and_may_have_any_name
    received = forwarded("/", rack_app: endpoint(headers: { "X_Odd_Name" => "1", "accept-encoding" => nil }))
    assert_equal "1", received["x_odd_name"]
    assert_nil received["accept-encoding"]
  end

  def test_a_trace_goes_on_or_starts
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    received = forwarded("/", "HTTP_TRACEPARENT" => trace, "HTTP_TRACESTATE" => "v=1")
    assert_equal [trace, "v=1"], [received["traceparent"], received["tracestate"]]
    received = forwarded("/", "HTTP_TRACEPARENT" => "00-#{'0' * 32}-00f067aa0ba902b7-01", "HTTP_TRACESTATE" => "v=1")
    assert_match(/\A00-[0-9a-f]{32}-[0-9a-f]{16}-01\z/, received["traceparent"])
    refute_equal "0" * 32, received["traceparent"][3, 32]
    assert_nil received["tracestate"]
  end

  def test_the_path_is_the_clients_as_it_wrote_it
    assert_equal "/a%2Fb", forwarded("/", "PATH_INFO" => "/a/b", "REQUEST_URI" => "/a%2Fb?x").target
    assert_equal "/rewritten", forwarded("/", "PATH_INFO" => "/rewritten", "REQUEST_URI" => "/original").target
    assert_equal "/m/a?q", forwarded("/", "SCRIPT_NAME" => "/m", "PATH_INFO" => "/a", "QUERY_STRING" => "q").target
    assert_equal "/%C3%A4", forwarded("/", "PATH_INFO" => "/ä").target
  end

  def test_path_changes_the_path_and_keeps_the_query
    assert_equal "/graphql?a=1", forwarded("/admin?a=1", rack_app: endpoint(path: "/graphql")).target
    assert_equal "/g?b=2", forwarded("/admin?a=1", rack_app: endpoint(path: "/g?b=2")).target
  end

  def test_the_method_is_the_clients_not_the_forms
    received = forwarded("/", :method => "DELETE", "rack.methodoverride.original_method" => "POST")
    assert_equal "POST", received.verb
  end

  def test_a_get_without_a_body_says_nothing_of_a_body
    assert_nil forwarded("/", :method => "GET", "CONTENT_LENGTH" => nil)["content-length"]
    assert_equal "0", forwarded("/", method: "POST")["content-length"]
  end

  def test_websockets_are_sent_elsewhere
    answer = Rack::MockRequest.new(endpoint).get("/", "HTTP_UPGRADE" => "websocket", "HTTP_CONNECTION" => "Upgrade")
    assert_equal 426, answer.status
  end

  # -- the answer -----------------------------------------------------------------------------------------------------------

  def test_an_answers_fields_pass_except_those_of_the_hop
    answer = answered("HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nETag: \"a\"\r\nX-A: 1\r\nx-a: 2\r\n" \
                      "Sarsen-Bom: b7k2q\r\nSarsen-Contract: orders@3\r\nSarsen-Build: 3.15.0\r\nSarsen-Customer: globex\r\n" \
                      "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nConnection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nDate: x\r\n" \
                      "Server: y\r\nX-Sendfile: /etc/passwd\r\nX-Accel-Redirect: /secret\r\nX-Cascade: pass\r\nStatus: 200\r\n" \
                      "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok")
    expected = { "Content-Type" => "application/json", "ETag" => '"a"', "X-A" => "1, 2", "Sarsen-Bom" => "b7k2q",
                 "Sarsen-Contract" => "orders@3", "Sarsen-Build" => "3.15.0", "Set-Cookie" => "a=1\nb=2",
                 "Content-Encoding" => "gzip" }
    assert_equal 201, answer.status
    assert_equal expected, answer.original_headers
    assert_equal "ok", answer.body
  end

  def test_an_answer_without_a_type_is_not_html
    assert_equal "application/octet-stream", answered("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")["Content-Type"]
  end

  def test_204_and_304_have_neither_body_nor_type
    [204, 304].each do |status|
      answer = answered("HTTP/1.1 #{status} X\r\nContent-Type: text/plain\r\nETag: \"a\"\r\n\r\n")
      assert_equal [status, nil, ""], [answer.status, answer["Content-Type"], answer.body]
    end
  end

  def test_problems_of_the_gateway_pass_as_they_are
    problem = '{"status":410,"successor":"orders@3"}'
    answer = answered("HTTP/1.1 410 Gone\r\nContent-Type: application/problem+json\r\nContent-Length: #{problem.size}\r\n\r\n" \
                      "#{problem}")
    assert_equal [410, "application/problem+json", problem], [answer.status, answer["Content-Type"], answer.body]
  end

  def test_a_location_of_the_gateway_becomes_a_path
    server = gateway(:tcp) { |peer| peer.serve { |r| peer.answer("", status: 302, fields: { "Location" => r["x-to"] }) } }
    go = lambda do |to, app = endpoint|
      Rack::MockRequest.new(app).get("/api/orders/x", "HTTP_X_TO" => to)["Location"]
    end
    assert_equal "/elsewhere?x=1", go.call("#{server.address}/elsewhere?x=1")
    assert_equal "/", go.call(server.address)
    assert_equal "https://other.example/a", go.call("https://other.example/a")
    assert_equal "#{server.address}.evil.example/", go.call("#{server.address}.evil.example/")
    assert_equal "/api/orders/new", go.call("/new", Sarsen::Middleware.new(nil, "/api/orders" => { to: "orders", strip: true }))
  end

  def test_failures_are_json_with_their_status
    errors = { 503 => ["unix:///nonexistent.sock", "SERVICE_UNAVAILABLE", "orders is unavailable"] }
    errors.each do |status, (address, code, message)|
      Sarsen.config.gateway = address
      answer = Rack::MockRequest.new(endpoint).post("/graphql")
      assert_equal status, answer.status
      assert_equal "application/json; charset=utf-8", answer["Content-Type"]
      assert_equal({ "errors" => [{ "message" => message, "extensions" => { "code" => code } }] }, JSON.parse(answer.body))
    end
  end

  def test_a_broken_answer_and_a_late_one_have_their_status
    assert_equal 502, answered("").status
    assert_equal 502, answered("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort").status
    gateway { |peer| peer.serve { nil } }
    answer = Rack::MockRequest.new(endpoint(timeout: 0.1)).post("/")
    assert_equal [504, "GATEWAY_TIMEOUT"], [answer.status, JSON.parse(answer.body)["errors"][0]["extensions"]["code"]]
  end

  def test_an_answer_that_breaks_gives_its_place_back
    Sarsen.config.concurrency = 1
    gateway_of("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort")
    2.times { assert_equal 502, Rack::MockRequest.new(endpoint).get("/").status }
    streaming_gateway.push("x" * 2_000_000)
    _, _, body = endpoint.call(Rack::MockRequest.env_for("/"))
    @gateways.pop.stop
    assert_raises(Sarsen::BadGateway) { body.enum_for(:each).to_a }
    pool.enter("orders").leave
  end

  def test_a_busy_service_is_503_with_retry_after
    Sarsen.config.concurrency = 0
    answer = Rack::MockRequest.new(endpoint).post("/")
    assert_equal [503, "1"], [answer.status, answer["Retry-After"]]
    assert_includes answer.body, "SERVICE_BUSY"
  end

  # -- streams --------------------------------------------------------------------------------------------------------------

  def streaming_gateway(type = "text/event-stream")
    steps = Queue.new
    gateway do |peer|
      peer.request
      peer.write("HTTP/1.1 200 OK\r\nContent-Type: #{type}\r\nTransfer-Encoding: chunked\r\n\r\n")
      while (text = steps.pop)
        peer.write("#{text.bytesize.to_s(16)}\r\n#{text}\r\n")
      end
      peer.write("0\r\n\r\n")
    end
    steps
  end

  def test_a_stream_passes_piece_by_piece
    steps = streaming_gateway
    status, headers, body = Rack::ETag.new(endpoint).call(Rack::MockRequest.env_for("/", "HTTP_IF_MODIFIED_SINCE" => "x"))
    assert_equal [200, "no", nil], [status, headers["X-Accel-Buffering"], headers["ETag"]]
    pieces = []
    %w[one two three].each { |text| steps << text }
    body.each do |piece|
      pieces << piece
      steps << nil if pieces.join.end_with?("three")
    end
    assert_equal "onetwothree", pieces.join
    assert_equal 1, pool.idle_count
  end

  def test_a_stream_outlives_the_deadline_but_not_a_long_silence
    Sarsen.config.timeout = 0.2
    Sarsen.config.stream_timeout = 0.5
    steps = streaming_gateway
    _, _, body = endpoint.call(Rack::MockRequest.env_for("/"))
    steps << "one"
    took = seconds { assert_raises(Sarsen::Timeout) { body.enum_for(:each).to_a } }
    assert_in_delta 0.5, took, 0.2
  end

  def test_a_client_that_goes_away_ends_the_stream_at_the_gateway
    gone = Queue.new
    gateway do |peer|
      peer.request
      peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
      gone << peer.closed_by_client?
    end
    Sarsen.config.concurrency = 1
    _, _, body = endpoint.call(Rack::MockRequest.env_for("/"))
    body.close
    assert Timeout.timeout(5) { gone.pop }
    assert_equal 0, pool.idle_count
    pool.enter("orders").leave
  end

  def test_a_small_chunked_answer_that_is_all_there_does_not_stream
    answer = answered("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
    assert_equal "ok", answer.body
  end

  def test_a_large_answer_streams
    text = Random.new(2).bytes(3_000_000)
    gateway { |peer| peer.serve { peer.answer(text) } }
    _, headers, body = endpoint.call(Rack::MockRequest.env_for("/"))
    refute_kind_of Array, body
    refute_nil headers["Last-Modified"]
    assert_equal text, body.enum_for(:each).to_a.join
    assert_equal 1, pool.idle_count
  end

  # -- the middleware -------------------------------------------------------------------------------------------------------

  def test_the_middleware_takes_its_prefixes_and_nothing_else
    gateway
    app = Sarsen::Middleware.new(->(_env) { [200, {}, ["rails"]] },
                                 "/api/orders" => "orders", "/api/orders/admin" => { to: "admin", strip: true })
    at = ->(path) { Rack::MockRequest.new(app).get(path).body }
    assert_equal "rails", at.call("/api/ordersX")
    assert_equal "rails", at.call("/")
    assert_equal "/api/orders/1?a", JSON.parse(at.call("/api/orders/1?a"))["target"]
    echo = JSON.parse(at.call("/api/orders/admin/x"))
    assert_equal ["/x", "admin"], [echo["target"], echo["headers"]["sarsen-service"]]
    assert_equal "/", JSON.parse(at.call("/api/orders/admin"))["target"]
    assert_equal %w[admin orders], Sarsen.services.sort
  end

  def test_above_the_session_an_identity_finds_nobody
    Sarsen.config.identity = ->(env) { env["rack.session"]["customer"] }
    received = forwarded("/", rack_app: Sarsen::Middleware.new(nil, "/" => "orders"))
    assert_nil received["sarsen-customer"]
  end

  def test_an_answer_obeys_racks_rules
    gateway
    require "rack/lint"
    answer = Rack::MockRequest.new(Rack::Lint.new(endpoint)).post("/graphql", input: "{}", "CONTENT_TYPE" => "application/json")
    assert_equal 200, answer.status
  end
end
