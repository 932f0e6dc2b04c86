# SPDX-License-Identifier: Apache-2.0
# frozen_string_literal: true

namespace :sarsen do
  desc "Checks that the gateway is reachable and knows the services this application forwards to"
  task doctor: :environment do
    Rails.application.eager_load!
    Rails.application.reload_routes!
    abort unless Sarsen::Doctor.new.run($stdout)
  end
end
