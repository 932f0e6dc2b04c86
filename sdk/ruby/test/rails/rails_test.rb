# SPDX-License-Identifier: Apache-2.0
# frozen_string_literal: true

require_relative "../support/rails_app"
require_relative "../test_helper"
require "rack/test"
require "rails/generators"
require "rake"

class RailsTest < Minitest::Test
  include Rack::Test::Methods

  JSON_TYPE = { "CONTENT_TYPE" => "application/json" }.freeze

  def app
    TestApp
  end

  def setup
    TestApp::LOG.truncate(TestApp::LOG.rewind)
    gateway
  end

  def teardown
    Sarsen.transport.pool.clear
    Sarsen.config.timeout = 30
    @gateway.stop
  end

  def gateway(&script)
    @gateway&.stop
    @gateway = Gateway.new(&script)
    Sarsen.config.gateway = @gateway.address
    @gateway
  end

  def answering(bytes)
    gateway { |peer| peer.serve { peer.write(bytes) } }
  end

  def echo
    JSON.parse(last_response.body)
  end

  def test_an_action_forwards_the_bytes_that_came_in
    text = '{"ids":[],"tags":[null],"query":"{ä}"}'
    post "/graphql?x[]=1", text, JSON_TYPE
    assert_equal 200, last_response.status
    assert_equal ["POST", "/graphql?x[]=1", text], echo.values_at("method", "target", "body")
    assert_equal %w[orders storefront], echo["headers"].values_at("sarsen-service", "sarsen-caller")
  end

  def test_a_batch_and_a_multipart_upload_pass_as_they_are
    post "/graphql", '[{"query":"{a}"},{"query":"{b}"}]', JSON_TYPE
    assert_equal '[{"query":"{a}"},{"query":"{b}"}]', echo["body"]
    type = "multipart/form-data; boundary=xx"
    text = "--xx\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a\"\r\n\r\nbytes\r\n--xx--\r\n"
    post "/graphql", text, "CONTENT_TYPE" => type
    assert_equal [text, type], [echo["body"], echo["headers"]["content-type"]]
  end

  def test_the_customer_is_read_from_the_session
    post "/session", customer: "acme"
    post "/graphql", "{}", JSON_TYPE
    assert_equal "acme", echo["headers"]["sarsen-customer"]
    assert_nil echo["headers"]["cookie"]
    post "/endpoint", "{}", JSON_TYPE
    assert_equal "acme", echo["headers"]["sarsen-customer"]
  end

  def test_options_may_be_lambdas_run_in_the_controller
    post "/shard", "{}", JSON_TYPE
    assert_equal 401, last_response.status
    post "/session", customer: "acme"
    post "/shard?a=1", "{}", JSON_TYPE
    assert_equal ["/graphql?a=1", "orders-acme", "acme"],
                 [echo["target"], echo["headers"]["sarsen-service"], echo["headers"]["x-tenant"]]
  end

  def test_a_form_token_is_asked_for_only_on_request
    post "/guarded", "{}", JSON_TYPE
    assert_equal 422, last_response.status
    assert_equal 0, @gateway.requests.size
  end

  def test_helpers_of_forward_are_no_actions
    assert_empty GraphqlController.action_methods & %w[forward_to sarsen_render to_a append_info_to_payload]
  end

  def test_the_block_sees_the_answer_and_may_change_it
    answering("HTTP/1.1 200 OK\r\nX-Cache: hit\r\nContent-Length: 2\r\n\r\nok")
    get "/custom"
    assert_equal %w[HIT hit ok], [last_response["X-Seen"], last_response["X-Cache"], last_response.body]
  end

  def test_the_services_headers_win_over_rails_own
    answering("HTTP/1.1 200 OK\r\ncontent-type: image/x-odd; b=2\r\ncache-control: no-cache, max-age=0, immutable\r\n" \
              "etag: \"a\"\r\n" \
              "x-frame-options: DENY\r\nsarsen-bom: b7k2q\r\nContent-Length: 2\r\n\r\nok")
    get "/graphql"
    values = %w[Content-Type Cache-Control X-Frame-Options Sarsen-Bom].map { |name| last_response[name] }
    assert_equal ["image/x-odd; b=2", "no-cache, max-age=0, immutable", "DENY", "b7k2q"], values
  end

  def test_multipart_answers_keep_their_boundary
    answering("HTTP/1.1 200 OK\r\nContent-Type: multipart/mixed; boundary=\"-\"\r\nContent-Length: 2\r\n\r\nok")
    get "/graphql"
    assert_equal 'multipart/mixed; boundary="-"', last_response["Content-Type"]
  end

  def test_cookies_of_the_service_and_of_rails_all_come_out
    answering("HTTP/1.1 200 OK\r\nSet-Cookie: a=1; path=/\r\nSet-Cookie: b=2; path=/\r\nContent-Length: 2\r\n\r\nok")
    post "/session", customer: "acme"
    get "/graphql"
    assert_equal %w[a b], last_response["Set-Cookie"].split("\n").map { |line| line[/\A[^=]+/] }.first(2)
  end

  def test_bodiless_answers
    answering("HTTP/1.1 204 No Content\r\n\r\n")
    get "/graphql"
    assert_equal [204, ""], [last_response.status, last_response.body]
    answering("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n")
    get "/graphql"
    assert_equal [304, "", '"a"'], [last_response.status, last_response.body, last_response["ETag"]]
    answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
    head "/graphql"
    assert_equal [200, ""], [last_response.status, last_response.body]
  end

  def test_failures_are_json_in_controllers_and_endpoints
    gateway { |peer| peer.serve { nil } }
    Sarsen.config.timeout = 0.1
    %w[/graphql /endpoint /above].each do |path|
      post path, "{}", JSON_TYPE
      assert_equal [504, "GATEWAY_TIMEOUT"], [last_response.status, echo["errors"][0]["extensions"]["code"]], path
      assert_match(/was not forwarded to \w+: /, TestApp::LOG.string)
    end
  end

  def test_errors_of_call_have_their_status
    { "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n" => 502,
      "HTTP/1.1 503 X\r\nContent-Type: application/problem+json\r\nContent-Length: 2\r\n\r\n{}" => 503 }.each do |bytes, status|
      answering(bytes)
      get "/summary"
      assert_equal status, last_response.status
    end
  end

  def test_call_speaks_for_the_customer_of_the_session
    post "/session", customer: "acme"
    get "/summary", {}, "HTTP_X_REQUEST_ID" => "r-1", "HTTP_BAGGAGE" => "sarsen.bom=b7k2q,sarsen.customer=acme"
    assert_equal ["acme", "r-1", "sarsen.bom=b7k2q,sarsen.customer=acme"],
                 echo["headers"].values_at("sarsen-customer", "x-request-id", "baggage")
  end

  def test_the_middleware_above_rails_forwards
    post "/above/x?y", "{", JSON_TYPE
    assert_equal ["/above/x?y", "{", "above"], [echo["target"], echo["body"], echo["headers"]["sarsen-service"]]
  end

  def test_a_failure_after_the_answer_gives_the_connection_back
    gateway do |peer|
      peer.request
      peer.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
      peer.closed_by_client?
    end
    Sarsen.config.concurrency = 1
    { "/late_failure" => [418, "rescued"], "/late_crash" => [500, ""] }.each do |path, expected|
      2.times do
        get path
        assert_equal expected, [last_response.status, last_response.body]
      end
    end
    assert_equal 4, @gateway.connections
  ensure
    Sarsen.config.concurrency = nil
  end

  def test_the_log_line_has_the_time_and_not_the_query
    post "/graphql", '{"query":"{secret}"}', JSON_TYPE
    assert_match(/Completed 200 OK in .*Gateway: \d+\.\d+ms/, TestApp::LOG.string)
    assert_includes TestApp::LOG.string, '"query"=>"[FILTERED]"'
    refute_includes TestApp::LOG.string, "secret"
  end

  def test_a_notification_tells_of_each_request
    seen = []
    subscriber = ActiveSupport::Notifications.subscribe("request.sarsen") { |*, payload| seen << payload }
    post "/graphql?token=1", "{}", JSON_TYPE
    assert_equal({ service: "orders", method: "POST", path: "/graphql", status: 200 }, seen.first)
  ensure
    ActiveSupport::Notifications.unsubscribe(subscriber)
  end

  # What ActiveRecord offers for this; Debian has it only with a database.
  class Handler
    Connection = Struct.new(:transaction_open?)
    Pool = Struct.new(:connection, :active_connection?)
    attr_accessor :open, :cleared

    def connection_pool_list
      [Pool.new(Connection.new(open), true)]
    end

    def clear_active_connections!
      self.cleared = true
    end
  end

  def test_a_database_connection_is_released_before_waiting
    handler = Handler.new
    base = Class.new { define_singleton_method(:connection_handler) { handler } }
    Object.const_set(:ActiveRecord, Module.new).const_set(:Base, base)
    { [{}, false] => true, [{}, true] => nil, [{ "rack.test" => true }, false] => nil }.each do |(env, open), cleared|
      handler.cleared = nil
      handler.open = open
      Sarsen::ReleaseConnections.around(env) { assert_equal [cleared], [handler.cleared] }
    end
  ensure
    Object.send(:remove_const, :ActiveRecord)
  end

  def test_the_generator_writes_an_application_that_forwards
    Dir.mktmpdir do |folder|
      FileUtils.mkdir_p(["#{folder}/config", "#{folder}/test"])
      File.write("#{folder}/config/routes.rb", "Rails.application.routes.draw do\nend\n")
      File.write("#{folder}/test/test_helper.rb", "")
      Rails::Generators.invoke("sarsen:install", ["billing", "--quiet"], destination_root: folder)
      assert_includes File.read("#{folder}/config/routes.rb"), 'post "/graphql", to: "graphql#execute"'
      assert_includes File.read("#{folder}/app/controllers/graphql_controller.rb"), 'forward :execute, to: "billing"'
      assert_includes File.read("#{folder}/config/initializers/sarsen.rb"), 'c.name = "test-app"'
      assert_includes File.read("#{folder}/test/test_helper.rb"), "include Sarsen::Testing"
      Dir["#{folder}/**/*.rb"].each { |path| assert system("ruby", "-c", path, out: File::NULL), path }
    end
  end

  def test_rake_has_the_doctor
    TestApp.load_tasks
    assert Rake::Task.task_defined?("sarsen:doctor")
  end
end

class StubInRailsTest < Minitest::Test
  include Rack::Test::Methods
  include Sarsen::Testing

  def app
    TestApp
  end

  def test_a_controller_answers_from_the_stub
    stub_service("orders") { |request| { data: { id: request.json["variables"]["id"] } } }
    post "/session", customer: "acme"
    post "/graphql", '{"variables":{"id":7}}', "CONTENT_TYPE" => "application/json"
    assert_equal 7, JSON.parse(last_response.body)["data"]["id"]
    assert_equal "acme", service_calls("orders").last.headers["sarsen-customer"]
  end
end
