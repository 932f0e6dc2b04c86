# SPDX-License-Identifier: Apache-2.0
# frozen_string_literal: true

require_relative "../test_helper"

class SettingsTest < SarsenTest
  def address(text)
    Sarsen.config.gateway = text
    Sarsen.config.address
  end

  def test_a_gateway_is_a_unix_socket_or_a_host_and_port
    assert_equal "/run/sarsen/gateway.sock", address("unix:///run/sarsen/gateway.sock").path
    assert_equal "/run/gateway.sock", address("unix:/run/gateway.sock").path
    assert_equal ".sarsen/gateway.sock", address("unix://.sarsen/gateway.sock").path
    assert_equal ["127.0.0.1", 8001], [address("http://127.0.0.1:8001").host, Sarsen.config.address.port]
    assert_equal ["[::1]", 80], [address("http://[::1]/").host, Sarsen.config.address.port]
  end

  def test_nothing_given_means_the_default
    [nil, ""].each { |none| assert_equal "http://127.0.0.1:8001", address(none).to_s }
  end

  def test_a_gateway_that_is_neither_is_refused_with_what_is_accepted
    ["https://x", "/run/x.sock", "http://a:b", "http://u@h:1", "http://h:1/path", "unix:"].each do |text|
      error = assert_raises(Sarsen::ConfigurationError, text) { address(text) }
      assert_includes error.message, text.inspect
    end
  end

  def trusted(peer, rule = :loopback)
    Sarsen.config.trusted_peer = rule
    Sarsen.config.trusted_peer?("REMOTE_ADDR" => peer)
  end

  def test_who_is_trusted
    ["127.0.0.1", "127.8.0.1", "::1", "::ffff:127.0.0.1", "", "unix:"].each { |peer| assert trusted(peer), peer }
    ["10.0.0.1", "192.0.2.1", "1270.0.0.1", nil].each { |peer| refute trusted(peer), peer.inspect }
    refute trusted("127.0.0.1", :none)
    assert trusted("10.1.2.3", ["10.0.0.0/8", "::1"])
    refute trusted("127.0.0.1", ["10.0.0.0/8"])
    refute trusted("nonsense", ["10.0.0.0/8"])
    assert trusted("10.1.2.3", ->(env) { env["REMOTE_ADDR"].start_with?("10.") })
    assert_raises(Sarsen::ConfigurationError) { Sarsen.config.trusted_peer = :all }
  end

  def test_a_network_list_is_checked_when_it_is_set
    assert_raises(IPAddr::Error) { Sarsen.config.trusted_peer = ["10.0.0.0/99"] }
  end
end

class CallTest < SarsenTest
  def test_json_goes_and_comes
    gateway
    echo = Sarsen.call("orders", :post, "/orders", json: { sku: 1 }).json
    assert_equal ["POST", "application/json", '{"sku":1}'],
                 [echo["method"], echo["headers"]["content-type"], echo["body"]]
  end

  def test_a_query_is_encoded_and_added
    gateway
    assert_equal "/a?x=1&y=%C3%A4+b", Sarsen.call("orders", :get, "a?x=1", query: { y: "ä b" }).json["target"]
  end

  def test_text_is_utf8_and_bytes_stay_bytes
    gateway { |peer| peer.serve { |r| peer.answer("\xC3\xA4", fields: { "Content-Type" => r["x-type"] }) } }
    type = ->(name) { Sarsen.call("orders", :get, "/", headers: { "X-Type" => name }).text }
    assert_equal "ä", type.call("text/plain")
    assert_equal Encoding::BINARY, type.call("image/png").encoding
  end

  def test_statuses_of_the_service_are_answers
    gateway { |peer| peer.serve { peer.answer("{}", status: 503) } }
    response = Sarsen.call("orders", :get, "/")
    assert_equal [503, false], [response.status, response.success?]
  end

  def test_problems_of_the_gateway_are_errors
    { 502 => Sarsen::BadGateway, 503 => Sarsen::Unavailable, 504 => Sarsen::Timeout }.each do |status, kind|
      problem = { "Content-Type" => "application/problem+json" }
      gateway { |peer| peer.serve { peer.answer('{"title":"none"}', status: status, fields: problem) } }
      error = assert_raises(kind) { Sarsen.call("orders", :get, "/") }
      assert_equal %w[orders none], [error.service, error.response.json["title"]]
      assert_kind_of Sarsen::Error, error
    end
  end

  def test_it_speaks_for_the_request_this_thread_serves
    server = gateway
    Sarsen.config.name = "storefront"
    Sarsen.config.identity = ->(env) { env["rack.session"]["customer"] }
    app = Sarsen::ContextMiddleware.new(->(_env) { [200, {}, [Sarsen.call("orders", :get, "/").text]] })
    Rack::MockRequest.new(app).get("/", "rack.session" => { "customer" => "acme" }, "HTTP_X_REQUEST_ID" => "r-1",
                                        "REMOTE_ADDR" => "127.0.0.1", "HTTP_BAGGAGE" => "sarsen.bom=b7k2q")
    received = server.received
    assert_equal %w[acme storefront r-1 sarsen.bom=b7k2q],
                 received.headers.values_at("sarsen-customer", "sarsen-caller", "x-request-id", "baggage")
    assert_nil Thread.current[Sarsen::Context::KEY]
  end

  def test_a_context_can_be_given
    gateway
    headers = Sarsen::Context.with(customer: "globex") { Sarsen.call("orders", :get, "/").json["headers"] }
    assert_equal "globex", headers["sarsen-customer"]
  end

  def test_mistakes_are_named
    gateway
    assert_raises(ArgumentError) { Sarsen.call("orders", :get, "/", jsn: 1) }
    assert_raises(ArgumentError) { Sarsen.call("orders", "GET /", "/") }
    assert_raises(ArgumentError) { Sarsen.call("orders", :get, "/", headers: { "a b" => 1 }) }
    assert_raises(ArgumentError) { Sarsen::Endpoint.new("") }
    assert_raises(ArgumentError) { Sarsen::Endpoint.new("orders", tiemout: 1) }
  end
end

class DoctorTest < SarsenTest
  def doctor
    out = StringIO.new
    [Sarsen::Doctor.new.run(out), out.string]
  end

  def test_it_names_the_builds_it_finds
    server = gateway { |peer| peer.serve { peer.write("HTTP/1.1 404 X\r\nSarsen-Build: 3.15.0\r\nContent-Length: 5\r\n\r\n") } }
    Sarsen.services << "orders"
    well, text = doctor
    assert well
    assert_includes text, "ok    gateway #{Sarsen.config.address}"
    assert_includes text, "ok    orders: build 3.15.0"
    assert_equal "HEAD", server.received.verb
  end

  def test_it_names_the_services_the_gateway_does_not_know
    gateway { |peer| peer.serve { peer.write("HTTP/1.1 503 X\r\nContent-Length: 5\r\n\r\n") } }
    Sarsen.services << "orders"
    well, text = doctor
    refute well
    assert_includes text, "FAIL  orders: the gateway answers 503"
  end

  def test_it_says_when_nobody_listens
    Sarsen.config.gateway = "unix:///nonexistent.sock"
    well, text = doctor
    refute well
    assert_includes text, "FAIL  gateway unix:/nonexistent.sock"
  end
end

class StubTest < SarsenTest
  include Sarsen::Testing

  # The stub stands in for the client until the test ends, also over SarsenTest's own setup.
  def setup; end

  def teardown; end

  def test_a_hash_is_json
    stub_service("orders") { |request| { data: { id: request.json["variables"]["id"] } } }
    response = Sarsen.call("orders", :post, "/graphql", json: { variables: { id: 7 } })
    assert_equal 7, response.json["data"]["id"]
    assert_equal "application/json; charset=utf-8", response["content-type"]
  end

  def test_an_array_is_a_batch_and_a_triple_an_answer
    stub_service("orders") { [{ data: 1 }, { data: 2 }, { data: 3 }] }
    assert_equal 3, Sarsen.call("orders", :post, "/").json.size
    stub_service("orders") { [404, { "X-A" => "1" }, { errors: [] }] }
    response = Sarsen.call("orders", :post, "/")
    assert_equal [404, "1", { "errors" => [] }], [response.status, response["x-a"], response.json]
  end

  def test_errors_are_raised_and_forwarded_as_answers
    stub_service("orders") { raise Sarsen::Timeout, "too slow" }
    assert_raises(Sarsen::Timeout) { Sarsen.call("orders", :get, "/") }
    assert_equal 504, Rack::MockRequest.new(Sarsen::Endpoint.new("orders")).get("/").status
  end

  def test_calls_are_kept_with_their_headers
    stub_service("orders") { {} }
    Rack::MockRequest.new(Sarsen::Endpoint.new("orders")).post("/graphql?a=1", input: "[1]")
    call = service_calls("orders").last
    assert_equal ["POST", "/graphql", "a=1", [1], "orders"],
                 [call.method, call.path, call.query, call.json, call.headers["sarsen-service"]]
    assert_empty service_calls("catalog")
  end

  def test_a_missing_stub_says_which_one_to_write
    error = assert_raises(Sarsen::Testing::MissingStub) do
      Rack::MockRequest.new(Sarsen::Endpoint.new("orders")).post("/graphql")
    end
    assert_includes error.message, 'stub_service("orders")'
  end
end
