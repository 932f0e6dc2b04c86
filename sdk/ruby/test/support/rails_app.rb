# SPDX-License-Identifier: Apache-2.0
# frozen_string_literal: true

# The application the Rails tests use, in their own process and under Puma: a login in the session, controllers that forward,
# routes that forward, a middleware, Sarsen.call from an action.

$LOAD_PATH.unshift File.expand_path("../../lib", __dir__)
require "logger"
require "action_controller/railtie"
require "sarsen"

class TestApp < Rails::Application
  config.load_defaults 6.1
  config.eager_load = false
  config.cache_classes = true
  config.root = __dir__
  config.hosts.clear
  config.secret_key_base = "x" * 40
  config.session_store :cookie_store, key: "_session"
  LOG = StringIO.new
  config.logger = Logger.new(LOG)
  config.consider_all_requests_local = false
  config.action_dispatch.show_exceptions = true
  config.action_controller.allow_forgery_protection = true

  config.sarsen.gateway = ENV.fetch("SARSEN_GATEWAY", nil)
  config.sarsen.name = "storefront"
  config.sarsen.identity = ->(env) { env["rack.session"]["customer"] }
  config.sarsen.filter_parameters = true
  config.middleware.insert_before 0, Sarsen::Middleware, "/above" => "above"
end

TestApp.initialize!

class ApplicationController < ActionController::Base
  rescue_from KeyError do
    self.status = 418
    self.response_body = "rescued"
  end
end

class SessionsController < ApplicationController
  skip_before_action :verify_authenticity_token

  def create
    session["customer"] = params[:customer]
    cookies["seen"] = "1"
    head :no_content
  end
end

class GraphqlController < ApplicationController
  include Sarsen::Forward
  before_action(only: :shard) { head :unauthorized unless session["customer"] }
  after_action(only: :late_failure) { raise KeyError, "after the answer" }
  after_action(only: :late_crash) { raise "after the answer" }

  forward :execute, to: "orders"
  forward :shard, to: -> { "orders-#{session['customer']}" }, path: "/graphql", timeout: 5,
                  headers: -> { { "x-tenant" => session["customer"] } }
  forward :guarded, to: "orders", csrf: true
  forward :late_failure, to: "orders"
  forward :late_crash, to: "orders"

  def custom
    forward_to("orders") { |response| response["x-seen"] = response["x-cache"].to_s.upcase }
  end

  def summary
    order = Sarsen.call("orders", :get, "/orders/1")
    render json: { status: order.status, headers: order.json["headers"] }
  end
end

TestApp.routes.draw do
  post "/session", to: "sessions#create"
  match "/graphql", to: "graphql#execute", via: :all
  %w[shard guarded custom late_failure late_crash].each { |action| match "/#{action}", to: "graphql##{action}", via: :all }
  get "/summary", to: "graphql#summary"
  match "/endpoint(/*rest)", to: Sarsen::Endpoint.new("orders"), via: :all
end
