# SPDX-License-Identifier: Apache-2.0

# The example lies in Sarsen's source tree and takes the gem from there; an
# application of its own has `gem "sarsen"` in its Gemfile instead.
$LOAD_PATH.unshift(ENV.fetch("SARSEN_GEM") { File.expand_path("../../../../sdk/ruby/lib", __dir__) })

require "rails"
require "action_controller/railtie"
require "sarsen"

module Storefront
  class Application < Rails::Application
    config.root = File.expand_path("..", __dir__)
    config.load_defaults 6.1
    config.api_only = true
    config.eager_load = true
    config.cache_classes = true
    config.consider_all_requests_local = false
    config.secret_key_base = ENV.fetch("SECRET_KEY_BASE")

    # One line per request is written by the initializer request_log.
    config.logger = ActiveSupport::Logger.new($stderr)
    config.log_level = :warn
  end
end
